import { encode } from "fast-png";
import { writeArrayBuffer } from "geotiff";
import { describe, expect, it } from "vitest";
import { readDeepPicture, turn } from "../src/deep-picture.js";
import { rangeOf, toRgbaBytes } from "../src/stretch.js";

const [width, height] = [3, 2];
const tiff = async (values: ArrayLike<number>, metadata: object) =>
  new Blob([
    (await writeArrayBuffer(values as never, { width, height, ...metadata } as never)) as ArrayBuffer,
  ]);
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
});

describe("deep pictures", () => {
  it("are PNGs of 12 bits in 16, and no others", async () => {
    const png = (data: Uint16Array | Uint8Array, depth: 8 | 16) =>
      new Blob([encode({ width, height, data, depth, channels: 1 }) as Uint8Array<ArrayBuffer>]);
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
