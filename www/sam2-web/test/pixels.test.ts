import { encode } from "fast-png";
import { afterEach, describe, expect, it, vi } from "vitest";
import { toRgba } from "../src/pixels.js";

afterEach(() => vi.unstubAllGlobals());

/** A PNG whose header claims that size. */
function claiming(width: number, height: number): Blob {
  const file = encode({ width: 1, height: 1, data: Uint8Array.of(0), channels: 1 });
  const view = new DataView(file.buffer, file.byteOffset);
  view.setUint32(16, width);
  view.setUint32(20, height);
  return new Blob([file as Uint8Array<ArrayBuffer>], { type: "image/png" });
}

describe("pictures that the browser does not decode", () => {
  it("are too long, too large, or cut or of another kind, and it is said which", async () => {
    vi.stubGlobal("createImageBitmap", async () => {
      throw new DOMException("The source image could not be decoded.", "InvalidStateError");
    });
    const failure = (blob: Blob) => toRgba(blob).catch((error) => error);
    expect(await failure(claiming(8, 8_388_608))).toMatchObject({
      code: "IMAGE_TOO_LARGE",
      message: expect.stringContaining("8 x 8388608"),
    });
    expect(await failure(claiming(20_000, 20_000))).toMatchObject({ code: "IMAGE_TOO_LARGE" });
    expect(await failure(claiming(320, 240))).toMatchObject({
      code: "INVALID_IMAGE",
      message: expect.stringContaining("cut or damaged"),
    });
    expect(await failure(new Blob(["<svg/>"]))).toMatchObject({ code: "INVALID_IMAGE" });
  });
});
