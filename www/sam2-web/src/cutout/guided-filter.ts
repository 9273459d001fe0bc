import { boxMean } from "./box-mean.js";

/** Three planes of one size, row by row. */
export type Colours = readonly [red: Float32Array, green: Float32Array, blue: Float32Array];

/** A symmetric 3 x 3 matrix for each pixel: the six planes of its upper half. */
type Symmetric = readonly [
  rr: Float32Array,
  rg: Float32Array,
  rb: Float32Array,
  gg: Float32Array,
  gb: Float32Array,
  bb: Float32Array,
];

/** What the filter gives where the guide's colour is (r, g, b): `red * r + green * g + blue * b + constant`. */
export interface Linear {
  red: Float32Array;
  green: Float32Array;
  blue: Float32Array;
  constant: Float32Array;
}

/** An input that varies less is taken for constant. */
const LEAST_VARIANCE = 1e-6;

/**
 * The guided filter with a colour guide (He, Sun and Tang, "Guided Image Filtering", 2013, equations 19 to 21). In each
 * window the input is taken for a linear function of the guide's colours, found by least squares with a penalty on its
 * slopes; that of a pixel is the mean of all windows that it is in. What is given are these functions, not their values:
 * they change slowly, so they can be found on a part of the pixels and interpolated for the others (He and Sun, "Fast
 * Guided Filter", 2015).
 */
export class GuidedFilter {
  readonly #guide: Colours;
  readonly #means: Colours;
  /** The inverse of the colours' covariances in each window. */
  readonly #inverse: Symmetric;
  readonly #mean: (values: Float32Array, to?: Float32Array) => Float32Array;
  /** Planes that are used again and again: new ones cost more than what is done with them. */
  readonly #scratch: readonly [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
  readonly #linear: Linear;

  /**
   * @param guide - of `width` x `height` pixels, from 0 to 1.
   * @param radius - windows have a side of `2 * radius + 1` pixels, less at the border.
   * @param epsilon - the penalty: what varies less than this is smoothed.
   */
  constructor(guide: Colours, width: number, height: number, radius: number, epsilon: number) {
    this.#guide = guide;
    const plane = () => new Float32Array(width * height);
    this.#mean = (values, to = plane()) => boxMean(values, width, height, radius, to);
    this.#scratch = [plane(), plane(), plane(), plane(), plane()];
    this.#linear = { red: plane(), green: plane(), blue: plane(), constant: plane() };
    const [red, green, blue] = guide;
    this.#means = [this.#mean(red), this.#mean(green), this.#mean(blue)];
    const product = (a: Float32Array, b: Float32Array) => this.#meanOfProduct(a, b);
    this.#inverse = [
      product(red, red),
      product(red, green),
      product(red, blue),
      product(green, green),
      product(green, blue),
      product(blue, blue),
    ];
    invert(this.#inverse, this.#means, epsilon);
  }

  /**
   * For an input of the guide's size. What is given holds until the next call.
   *
   * @param explained - is filled with how much of the input's variance the colours explain, 0 to 1, where it is given.
   */
  fit(input: Float32Array, explained?: Float32Array): Linear {
    const [meanR, meanG, meanB] = this.#means;
    const [rr, rg, rb, gg, gb, bb] = this.#inverse;
    const [, red, green, blue, constant] = this.#scratch;
    this.#mean(input, constant);
    for (const [i, colour] of [red, green, blue].entries())
      this.#meanOfProduct(this.#guide[i] as Float32Array, input, colour);
    const squares = explained && this.#meanOfProduct(input, input, explained);
    for (let i = 0; i < input.length; i++) {
      const mean = constant[i] as number;
      const [r, g, b] = [meanR[i] as number, meanG[i] as number, meanB[i] as number];
      // The covariances of the colours with the input.
      const [withR, withG, withB] = [
        (red[i] as number) - r * mean,
        (green[i] as number) - g * mean,
        (blue[i] as number) - b * mean,
      ];
      const ofR = (rr[i] as number) * withR + (rg[i] as number) * withG + (rb[i] as number) * withB;
      const ofG = (rg[i] as number) * withR + (gg[i] as number) * withG + (gb[i] as number) * withB;
      const ofB = (rb[i] as number) * withR + (gb[i] as number) * withG + (bb[i] as number) * withB;
      red[i] = ofR;
      green[i] = ofG;
      blue[i] = ofB;
      constant[i] = mean - ofR * r - ofG * g - ofB * b;
      if (!squares) continue;
      const variance = (squares[i] as number) - mean * mean;
      squares[i] = variance > LEAST_VARIANCE ? (ofR * withR + ofG * withG + ofB * withB) / variance : 0;
    }
    const linear = this.#linear;
    this.#mean(red, linear.red);
    this.#mean(green, linear.green);
    this.#mean(blue, linear.blue);
    this.#mean(constant, linear.constant);
    if (squares) squares.set(this.#mean(squares, constant));
    return linear;
  }

  #meanOfProduct(a: Float32Array, b: Float32Array, to?: Float32Array): Float32Array {
    const products = this.#scratch[0];
    for (let i = 0; i < a.length; i++) products[i] = (a[i] as number) * (b[i] as number);
    return this.#mean(products, to);
  }
}

/** Turns the means of products of colours into the inverse of their covariances, with `epsilon` on the diagonal. */
function invert(ofProducts: Symmetric, [red, green, blue]: Colours, epsilon: number): void {
  const [rr, rg, rb, gg, gb, bb] = ofProducts;
  for (let i = 0; i < red.length; i++) {
    const [r, g, b] = [red[i] as number, green[i] as number, blue[i] as number];
    const vrr = (rr[i] as number) - r * r + epsilon;
    const vrg = (rg[i] as number) - r * g;
    const vrb = (rb[i] as number) - r * b;
    const vgg = (gg[i] as number) - g * g + epsilon;
    const vgb = (gb[i] as number) - g * b;
    const vbb = (bb[i] as number) - b * b + epsilon;
    // By Cramer's rule.
    const [crr, crg, crb] = [vgg * vbb - vgb * vgb, vgb * vrb - vrg * vbb, vrg * vgb - vgg * vrb];
    const determinant = vrr * crr + vrg * crg + vrb * crb;
    rr[i] = crr / determinant;
    rg[i] = crg / determinant;
    rb[i] = crb / determinant;
    gg[i] = (vrr * vbb - vrb * vrb) / determinant;
    gb[i] = (vrg * vrb - vrr * vgb) / determinant;
    bb[i] = (vrr * vgg - vrg * vrg) / determinant;
  }
}
