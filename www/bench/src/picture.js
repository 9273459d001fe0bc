// The picture that is worked on. Plain JavaScript, as cpu-time.js runs it in Node as well.

const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];

/**
 * Discs on gradients, `gone` to the right: anything will do, as the network's work is the same for every picture.
 *
 * @param {number} side
 * @param {number} gone
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function syntheticPicture(side, gone = 0) {
  const rgba = new Uint8ClampedArray(side * side * 4).fill(255);
  const discs = [
    [0.3, 0.45, 0.18, 220, 60, 50],
    [0.72, 0.35, 0.12, 40, 190, 80],
    [0.6, 0.75, 0.15, 60, 80, 220],
  ];
  for (let i = 0; i < side * side; i++) {
    const [x, y] = [(i % side) / side, Math.floor(i / side) / side];
    const disc = discs.find(([cx, cy, r]) => (x - cx - gone) ** 2 + (y - cy) ** 2 < r ** 2);
    const texture = 12 * Math.sin(x * 200) * Math.cos(y * 140);
    rgba.set(
      disc
        ? [disc[3] + texture, disc[4] + texture, disc[5] + texture]
        : [60 + 120 * x + texture, 90 + 80 * y + texture, 140 - 60 * x + 30 * y + texture],
      i * 4,
    );
  }
  return rgba;
}

/**
 * RGBA bytes to planes of red, green and blue by ImageNet's mean and deviation.
 *
 * @param {Uint8ClampedArray} rgba
 * @returns {Float32Array} `[3, h, w]`
 */
export function normalise(rgba) {
  const pixels = rgba.length / 4;
  const planes = new Float32Array(3 * pixels);
  for (let c = 0; c < 3; c++) {
    const [scale, shift] = [1 / 255 / (STD[c] ?? 1), (MEAN[c] ?? 0) / (STD[c] ?? 1)];
    for (let i = 0; i < pixels; i++) planes[c * pixels + i] = (rgba[i * 4 + c] ?? 0) * scale - shift;
  }
  return planes;
}
