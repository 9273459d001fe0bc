import type { RawPicture } from "./protocol.js";

/** Upright, by an EXIF orientation: 1 to 8; anything else turns nothing. */
export function turn(picture: RawPicture, orientation: number): RawPicture {
  if (!(orientation >= 2 && orientation <= 8)) return picture;
  const { width, height } = picture;
  const lies = orientation >= 5;
  const [toWidth, toHeight] = lies ? [height, width] : [width, height];
  const flipsX = [2, 3, 7, 8].includes(orientation);
  const flipsY = [3, 4, 6, 7].includes(orientation);
  const from = new Uint32Array(picture.data.buffer, picture.data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  for (let y = 0, i = 0; y < toHeight; y++) {
    for (let x = 0; x < toWidth; x++, i++) {
      const [column, row] = lies ? [y, x] : [x, y];
      to[i] = from[(flipsY ? height - 1 - row : row) * width + (flipsX ? width - 1 - column : column)] ?? 0;
    }
  }
  return { data: new Uint8ClampedArray(to.buffer), width: toWidth, height: toHeight };
}
