import { describe, expect, it } from "vitest";
import { folderNames, toCoco } from "../src/video/export-masks.js";
import { shownFor } from "../src/video/export-video.js";
import { Masks } from "../src/video/masks.js";

const seen = { counts: "61220N3", visible: true }; // 5 x 4, a cross
const hidden = { counts: "P", visible: false };

function someMasks(): Masks {
  const masks = new Masks();
  masks.set(
    1,
    new Map([
      [1, seen],
      [2, hidden],
    ]),
  );
  masks.set(3, new Map([[1, seen]]));
  return masks;
}

describe("Masks", () => {
  it("says which frames are known, and forgets an object", () => {
    const masks = someMasks();
    expect(masks.stretch).toEqual([1, 3]);
    expect(masks.count).toBe(2);
    expect(masks.at(2)).toBeUndefined();
    const { version } = masks;
    masks.remove(1);
    expect(masks.version).not.toBe(version);
    expect(masks.stretch).toEqual([1, 1]);
    masks.remove(2);
    expect(masks.stretch).toBeUndefined();
  });
});

describe("toCoco", () => {
  it("has a mask or null for each object and frame", () => {
    const objects = [
      { id: 1, name: "Cup" },
      { id: 2, name: "Can" },
    ];
    const timestamp = (frame: number) => frame / 4;
    const size = { width: 5, height: 4, frameCount: 4 };
    const { videos, annotations } = toCoco({ name: "clip", ...size, masks: someMasks(), objects, timestamp });
    expect(videos[0]).toMatchObject({ width: 5, height: 4, length: 4, timestamps: [0, 0.25, 0.5, 0.75] });
    const rle = { size: [4, 5], counts: "61220N3" };
    expect(annotations.map(({ name }) => name)).toEqual(["Cup", "Can"]);
    expect(annotations[0]?.segmentations).toEqual([null, rle, null, rle]);
    expect(annotations[0]?.areas).toEqual([null, 5, null, 5]);
    expect(annotations[0]?.bboxes[1]).toEqual([1, 1, 3, 3]);
    expect(annotations[1]?.segmentations).toEqual([null, null, null, null]);
  });
});

describe("folderNames", () => {
  it("is safe on every system and gives each object its own", () => {
    const names = ["Cup", "cup", "../../etc", "a/b: c", "❤", "Über"];
    const objects = names.map((name, i) => ({ id: i + 1, name }));
    expect([...folderNames(objects).values()]).toEqual(["Cup", "cup-2", "etc", "a-b-c", "object", "Über"]);
  });
});

describe("shownFor", () => {
  const times = [0.5, 0.6, 0.9];
  const timestamp = (frame: number) => times[frame] ?? 0;

  it("keeps a varying frame rate, and shows the last frame until the end", () => {
    const video = { timestamp, frameCount: 3, duration: 1.2 };
    const lengths = [0, 1, 2].map((frame) => Number(shownFor(video, frame).toFixed(6)));
    expect(lengths).toEqual([0.1, 0.3, 0.3]);
  });

  it("shows the last frame as long as the one before where no end is known", () => {
    expect(shownFor({ timestamp, frameCount: 3, duration: undefined }, 2)).toBeCloseTo(0.3);
  });
});
