import { expect, it } from "vitest";
import { Newest } from "../src/newest.js";

it("runs one job at a time and drops all that wait but the newest", async () => {
  const newest = new Newest();
  const ran: string[] = [];
  let finish = () => {};
  const all = newest.run(async () => {
    ran.push("first");
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
  });
  void newest.run(async () => void ran.push("second"));
  void newest.run(async () => void ran.push("third"));
  expect(newest.busy).toBe(true);
  finish();
  await all;
  expect(ran).toEqual(["first", "third"]);
  expect(newest.busy).toBe(false);
});
