// The table of errors has every code that the package may throw, in its order.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

test("the table of errors has every code", () => {
  const [, union = ""] =
    /export type Sam2ErrorCode =([^;]*);/.exec(read("../../sam2-web/src/errors.ts")) ?? [];
  const codes = [...union.matchAll(/"([A-Z_]+)"/g)].map(([, code]) => code);
  const rows = [...read("../guide/errors.md").matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(10);
  expect(rows).toEqual(codes);
});
