import { expect, it } from "vitest";
import { kindOf } from "../src/kind.js";

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const file = (start: string, name: string, type = "") =>
  new File([bytes(start), new Uint8Array(200)], name, { type });

it.each([
  ["PK\x03\x04", "model.torch", "", "model"],
  ["PK\x03\x04", "photo.jpg", "image/jpeg", "model"],
  ["\x80\x02}", "weights", "", "model"],
  ['\x40\0\0\0\0\0\0\0{"a":', "model.dat", "", "model"],
  ["version https://git-lfs.github.com/spec/v1", "model.bin", "", "model"],
  ["nothing known", "model.ckpt", "", "model"],
  ['{"weight_map":', "model.safetensors.index.json", "application/json", "model"],
  ["\0\0\0\x20ftypisom", "clip.bin", "", "clip"],
  ["\0\0\0\x20ftypqt  ", "IMG_1", "", "clip"],
  ["\0\0\0\x08wide\0\0", "old", "", "clip"],
  ["\x1aE\xdf\xa3", "clip", "", "clip"],
  ["nothing known", "clip.mp4", "", "clip"],
  ["\0\0\0\x1cftypavif", "picture.mp4", "video/mp4", "picture"],
  ["\x89PNG\r\n\x1a\n", "picture.mp4", "video/mp4", "picture"],
  ["\xff\xd8\xff\xe0", "model.pt", "", "picture"],
  ["nothing known", "picture.xyz", "", "picture"],
  ['{"images":[', "labels", "", "labels"],
  ['\xef\xbb\xbf{\r\n  "version": "5.0.1"', "IMG_1.json", "application/json", "labels"],
  ['[{"image_id": 1', "results.txt", "text/plain", "labels"],
  ["nothing known", "map.geojson", "", "labels"],
  ["{\\rtf1", "notes.rtf", "text/rtf", "picture"],
])("%j as %s of type %j is a %s", async (start, name, type, kind) => {
  expect(await kindOf(file(start, name, type))).toBe(kind);
});
