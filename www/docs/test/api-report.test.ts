// A change of the public API shows in a review: its report is committed.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { committed, entries, makeReports } from "../api-report.js";

test("the API is as its committed report says (else: npm run report -w www/docs, and commit it)", () => {
  const folder = mkdtempSync(join(tmpdir(), "api-report-"));
  try {
    makeReports(folder);
    for (const name of Object.keys(entries)) {
      const read = (from: string) => readFileSync(`${from}/${name}.api.md`, "utf8");
      expect(read(folder), name).toBe(read(committed));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);
