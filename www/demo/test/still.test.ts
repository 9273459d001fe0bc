import { describe, expect, it } from "vitest";
import { needsStill } from "../src/still.js";

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const chunk = (name: string, data = "") => {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, data.length);
  return `${String.fromCharCode(...length)}${name}${data}\0\0\0\0`;
};
const header = (depth: number) =>
  chunk("IHDR", `\0\0\0\x01\0\0\0\x01${String.fromCharCode(depth)}\x02\0\0\0`);
const PNG = "\x89PNG\r\n\x1a\n";

describe("what is shown as a still", () => {
  it("moves, is deep, or is no picture for browsers", () => {
    for (const text of [
      "GIF89a",
      "II*\0",
      "MM\0*",
      "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0",
      "\0\0\0\x2cftypavis\0\0\0\0avis",
      "\0\0\0\x2cftypavif\0\0\0\0avifavis",
      PNG + header(16),
      PNG + header(8) + chunk("iCCP", "x".repeat(40)) + chunk("acTL", "\0\0\0\x02\0\0\0\0"),
    ])
      expect(needsStill(bytes(text)), text).toBe(true);
  });

  it("is no other", () => {
    for (const text of [
      "",
      "\xff\xd8\xff\xe0",
      "RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0",
      "RIFF\0\0\0\0WEBPVP8 ",
      "\0\0\0\x1cftypavif\0\0\0\0avifmif1",
      PNG,
      PNG + header(8) + chunk("IDAT", "xxxx") + chunk("acTL"),
    ])
      expect(needsStill(bytes(text)), text).toBe(false);
  });
});
