/** When each frame is shown, in seconds, ascending. */
export interface FrameTimes {
  /** How many frames there are: all of a file's, those taken of a stream. */
  readonly count: number;
  /** The earliest frame whose time is known. */
  readonly earliest: number;
  /** Nothing before {@link FrameTimes.earliest}, and from {@link FrameTimes.count} on. */
  at(frame: number): number | undefined;
}

/** Of a file, all of them. */
export class FileTimes implements FrameTimes {
  readonly #times: Float64Array;
  readonly earliest = 0;

  constructor(times: Float64Array) {
    this.#times = times;
  }

  get count(): number {
    return this.#times.length;
  }

  at(frame: number): number | undefined {
    return this.#times[frame];
  }
}

/** Nine minutes of 30 frames a second, in 128 kB. */
const KEPT = 16_384;

/** Of a stream, which may never end, the latest ones. */
export class StreamTimes implements FrameTimes {
  /** A ring, whole from the start so that it never grows. */
  readonly #times = new Float64Array(KEPT);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get earliest(): number {
    return Math.max(0, this.#count - KEPT);
  }

  at(frame: number): number | undefined {
    return frame >= this.earliest && frame < this.#count ? this.#times[frame % KEPT] : undefined;
  }

  push(time: number): void {
    this.#times[this.#count++ % KEPT] = time;
  }
}
