import { describe, expect, it } from "vitest";
import { StreamTimes } from "../src/frame-times.js";

describe("a stream's times", () => {
  it("are the latest 16,384, by their frames' numbers", () => {
    const times = new StreamTimes();
    expect([times.count, times.earliest, times.at(0)]).toEqual([0, 0, undefined]);
    for (let i = 0; i < 40_000; i++) times.push(i / 30);
    expect(times.count).toBe(40_000);
    expect(times.earliest).toBe(40_000 - 16_384);
    for (const frame of [times.earliest, 30_000, 39_999]) expect(times.at(frame)).toBe(frame / 30);
    for (const frame of [0, times.earliest - 1, 40_000]) expect(times.at(frame)).toBeUndefined();
  });
});
