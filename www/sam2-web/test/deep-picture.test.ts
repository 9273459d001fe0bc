/// <reference types="node" />
import { crc32 } from "node:zlib";
import { encode } from "fast-png";
import { writeArrayBuffer } from "geotiff";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readDeepPicture } from "../src/deep-picture.js";
import { checkRange, rangeOf, toRgbaBytes } from "../src/stretch.js";
import { turn } from "../src/turn.js";

const [width, height] = [3, 2];
const tiff = async (values: ArrayLike<number>, metadata: object) =>
  new Blob([
    (await writeArrayBuffer(values as never, { width, height, ...metadata } as never)) as ArrayBuffer,
  ]);
afterEach(() => vi.unstubAllGlobals());

/** The red of each pixel. */
const reds = ({ data }: { data: Uint8ClampedArray }) => [...data].filter((_, i) => i % 4 === 0);

describe("stretching", () => {
  it("goes to all bits of the largest integer, or to the largest float", () => {
    expect(rangeOf([0, 4095, 2048], 1, true)).toEqual([0, 4095]);
    expect(rangeOf([0, 65535], 1, true)).toEqual([0, 65535]);
    expect(rangeOf([0, 9], 1, true)).toEqual([0, 255]);
    expect(rangeOf([1000, 65535, 500, 0], 2, true)).toEqual([0, 1023]);
    expect(rangeOf([Number.NaN, -1, 3, Number.POSITIVE_INFINITY], 1, false)).toEqual([-1, 3]);
    expect(reds({ data: toRgbaBytes([Number.NaN, -1, 3, Number.POSITIVE_INFINITY], 1, [-1, 3], 1) })).toEqual(
      [0, 0, 255, 255],
    );
    expect([...toRgbaBytes([4095, 65535, 0, 0], 2, [0, 4095], 65535)]).toEqual([
      255, 255, 255, 255, 0, 0, 0, 0,
    ]);
    expect([...toRgbaBytes([1, 2, 3], 3, [0, 255], 255)]).toEqual([1, 2, 3, 255]);
  });

  it("takes a range of two numbers only", () => {
    expect(checkRange(undefined)).toBeUndefined();
    expect(checkRange([-1.5, 4095])).toEqual([-1.5, 4095]);
    for (const wrong of [
      null,
      4095,
      "0,4095",
      [],
      [5],
      [5, 5],
      [9, 1],
      [0, Infinity],
      [Number.NaN, 1],
      [1, 2, 3],
    ])
      expect(() => checkRange(wrong), String(wrong)).toThrow(
        expect.objectContaining({ code: "UNSUPPORTED_INPUT", message: expect.stringContaining("[0, 4095]") }),
      );
  });
});

const png = (data: Uint16Array | Uint8Array, depth: 8 | 16) =>
  new Blob([encode({ width, height, data, depth, channels: 1 }) as Uint8Array<ArrayBuffer>]);

/** A PNG with a chunk put in before its pixels. */
async function withChunk(file: Blob, type: string, data: Uint8Array): Promise<Blob> {
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, data.length);
  const body = Buffer.concat([Buffer.from(type), data]);
  const crc = new DataView(new ArrayBuffer(4));
  crc.setUint32(0, crc32(body));
  const head = 8 + 12 + 13;
  return new Blob([file.slice(0, head), length, body, crc, file.slice(head)]);
}

/** EXIF of an orientation alone, in either order of bytes. */
function exif(orientation: number, little: boolean): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(26));
  view.setUint16(0, little ? 0x4949 : 0x4d4d);
  for (const [at, value] of [
    [2, 42],
    [8, 1],
    [10, 0x0112],
    [12, 3],
    [18, orientation],
  ] as const)
    view.setUint16(at, value, little);
  view.setUint32(4, 8, little);
  view.setUint32(14, 1, little);
  return new Uint8Array(view.buffer);
}

describe("deep pictures", () => {
  it("are PNGs of 12 bits in 16, and no others", async () => {
    const twelve = await readDeepPicture(png(Uint16Array.of(0, 4095, 2048, 1, 0, 0), 16));
    expect(twelve && reds(twelve)).toEqual([0, 255, 128, 0, 0, 0]);
    expect(await readDeepPicture(png(Uint16Array.of(0, 65535, 0, 0, 0, 0), 16))).toBeUndefined();
    expect(await readDeepPicture(png(Uint8Array.of(0, 1, 2, 3, 4, 5), 8))).toBeUndefined();
    expect(await readDeepPicture(new Blob(["GIF89a"]))).toBeUndefined();
    expect(await readDeepPicture(new Blob([]))).toBeUndefined();
  });

  it("are TIFFs of any depth", async () => {
    const bytes = await readDeepPicture(await tiff(Uint8Array.of(0, 255, 7, 8, 9, 10), {}));
    expect(bytes && reds(bytes)).toEqual([0, 255, 7, 8, 9, 10]);
    const floats = await readDeepPicture(
      await tiff(Float32Array.of(0, 1, 0.5, 0, 0, 0), { SampleFormat: [3], BitsPerSample: [32] }),
    );
    expect(floats && reds(floats)).toEqual([0, 255, 128, 0, 0, 0]);
    const twelve = await readDeepPicture(
      await tiff(Uint16Array.of(0, 4095, 2048, 0, 0, 0), { SampleFormat: [1], BitsPerSample: [16] }),
    );
    expect(twelve && reds(twelve)).toEqual([0, 255, 128, 0, 0, 0]);
    // Of more than 16 bits to the largest value itself, as floats.
    const integers = await readDeepPicture(
      await tiff(Uint32Array.of(0, 5_000_000, 2_500_000, 0, 0, 0), {
        SampleFormat: [1],
        BitsPerSample: [32],
      }),
    );
    expect(integers && reds(integers)).toEqual([0, 255, 128, 0, 0, 0]);
    const signed = await readDeepPicture(
      await tiff(new Uint16Array(Int16Array.of(-1000, 1000, 0, 0, 0, 0).buffer), {
        SampleFormat: [2],
        BitsPerSample: [16],
      }),
    );
    expect(signed && reds(signed)).toEqual([0, 255, 128, 128, 128, 128]);
    const twelveBits = await tiff(Uint16Array.of(0, 4095, 2048, 0, 0, 0), {
      SampleFormat: [1],
      BitsPerSample: [16],
    });
    const file = Buffer.from(await twelveBits.arrayBuffer());
    // PhotometricInterpretation, a short: 1 becomes 0.
    const at = file.indexOf(Buffer.from("0106000300000001" + "0001", "hex"));
    file[at + 9] = 0;
    const whiteIsZero = await readDeepPicture(new Blob([file]));
    expect(whiteIsZero && reds(whiteIsZero)).toEqual([255, 0, 127, 255, 255, 255]);
  });

  it("are stretched from the range that is asked for, unless they have 8 bits", async () => {
    const values = Uint16Array.of(0, 1000, 2000, 3000, 65535, 500);
    const ranged = async (file: Blob, range: [number, number]) => {
      const found = await readDeepPicture(file, range);
      return found && reds(found);
    };
    expect(await ranged(png(values, 16), [1000, 3000])).toEqual([0, 0, 128, 255, 255, 0]);
    const sixteen = await tiff(values, { SampleFormat: [1], BitsPerSample: [16] });
    expect(await ranged(sixteen, [1000, 3000])).toEqual([0, 0, 128, 255, 255, 0]);
    const floats = await tiff(Float32Array.of(0, 1, 0.5, 0.25, -1, Number.NaN), {
      SampleFormat: [3],
      BitsPerSample: [32],
    });
    expect(await ranged(floats, [0, 0.5])).toEqual([0, 255, 255, 128, 0, 0]);
    const bytes = await tiff(Uint8Array.of(0, 255, 7, 8, 9, 10), {});
    expect(await ranged(bytes, [0, 10])).toEqual([0, 255, 7, 8, 9, 10]);
    expect(await ranged(png(Uint8Array.of(0, 1, 2, 3, 4, 5), 8), [0, 5])).toBeUndefined();
  });

  it("PNGs are turned by their EXIF where the browser does so", async () => {
    const file = png(Uint16Array.of(100, 200, 300, 400, 500, 600), 16);
    const shown = async (data: Uint8Array) => {
      const found = await readDeepPicture(await withChunk(file, "eXIf", data), [0, 255 * 100]);
      return found && [found.width, found.height, reds(found).join("")];
    };
    // Whether the browser turns PNGs is found out once, so these stand-ins come each with a new module.
    for (const [turns, upright] of [
      [true, [2, 3, "415263"]],
      [false, [3, 2, "123456"]],
    ] as const) {
      vi.resetModules();
      const { readDeepPicture: fresh } = await import("../src/deep-picture.js");
      const asked = vi.fn(async () => (turns ? { width: 1, height: 2 } : { width: 2, height: 1 }));
      vi.stubGlobal("createImageBitmap", asked);
      for (const little of [true, false]) {
        const found = await fresh(await withChunk(file, "eXIf", exif(6, little)), [0, 255 * 100]);
        expect(found && [found.width, found.height, reds(found).join("")]).toEqual(upright);
      }
      expect(asked).toHaveBeenCalledTimes(1);
    }
    expect(await shown(exif(9, true))).toEqual([3, 2, "123456"]);
    expect(await shown(Uint8Array.of(1, 2, 3))).toEqual([3, 2, "123456"]);
    expect(await shown(new Uint8Array(0))).toEqual([3, 2, "123456"]);
  });

  it("PNGs' transparent colour is transparent", async () => {
    const file = png(Uint16Array.of(0, 4095, 2048, 7, 0, 1), 16);
    const found = await readDeepPicture(await withChunk(file, "tRNS", Uint8Array.of(8, 0)));
    expect(found && reds(found)).toEqual([0, 255, 128, 0, 0, 0]);
    expect(found && [...found.data].filter((_, i) => i % 4 === 3)).toEqual([255, 255, 0, 255, 255, 255]);
  });

  it("that are cut are refused", async () => {
    const whole = await tiff(Uint8Array.of(0, 255, 7, 8, 9, 10), {});
    const cut = whole.slice(0, 60);
    await expect(readDeepPicture(cut)).rejects.toMatchObject({ code: "INVALID_IMAGE" });
  });
});

describe("turning", () => {
  it("follows EXIF's eight orientations", () => {
    // 1 2 3
    // 4 5 6
    const data = new Uint8ClampedArray(24);
    for (let i = 0; i < 6; i++) data[4 * i] = i + 1;
    const turned = (orientation: number) => reds(turn({ data, width, height }, orientation)).join("");
    expect([1, 2, 3, 4, 5, 6, 7, 8, 9].map(turned)).toEqual([
      "123456",
      "321654",
      "654321",
      "456123",
      "142536",
      "415263",
      "635241",
      "362514",
      "123456",
    ]);
    const { width: w, height: h } = turn({ data, width, height }, 6);
    expect([w, h]).toEqual([2, 3]);
  });
});
