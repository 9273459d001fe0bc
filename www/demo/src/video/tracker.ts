import type { Video, VideoFrameMasks } from "sam2-web";

export type Direction = "forward" | "backward";

/** Where tracking goes on, and from where. */
export interface Track {
  from: number;
  direction: Direction;
}

/** Runs the video's tracking, frame by frame, until its end or a pause; knows where to go on. */
export class Tracker {
  readonly #video: Video;
  readonly #found: (masks: VideoFrameMasks) => Promise<void>;
  #run: Promise<void> | undefined;
  #pausing = false;
  #stopped: Track | undefined;
  #edited: number | undefined;
  readonly #ended = new AbortController();

  /** @param found - gets each frame's masks, and is waited for before the next frame is asked for. */
  constructor(video: Video, found: (masks: VideoFrameMasks) => Promise<void>) {
    this.#video = video;
    this.#found = found;
  }

  get running(): boolean {
    return this.#run !== undefined;
  }

  get pausing(): boolean {
    return this.#run !== undefined && this.#pausing;
  }

  /** Where `track()` goes on after a pause; undefined where it begins anew. */
  get stopped(): Track | undefined {
    return this.#edited === undefined ? this.#stopped : undefined;
  }

  /** A prompt was given or taken back on this frame: what comes after it is to be tracked again. */
  edited(frame: number): void {
    this.#edited = Math.min(frame, this.#edited ?? frame);
  }

  /** Forgets where it was: nothing is prompted any more. */
  forget(): void {
    this.#edited = undefined;
    this.#stopped = undefined;
  }

  /**
   * Tracks until the end or a pause; rejects with the API's error.
   *
   * @param track - default: on from the pause, or from the first frame prompted since.
   */
  async track(track?: Partial<Track>): Promise<void> {
    if (this.#run) return;
    this.#pausing = false;
    this.#run = this.#follow({ ...this.#next(), ...track });
    try {
      await this.#run;
    } finally {
      this.#run = undefined;
    }
  }

  /** Stops after the frame at work; resolves when it has stopped. */
  async pause(): Promise<void> {
    this.#pausing = true;
    await this.#run?.catch(() => {}); // whoever called `track` gets it
  }

  close(): void {
    this.#ended.abort();
  }

  /** After a pause and a correction, the earlier of the two, so that no frame between them is left out. */
  #next(): { from: number | undefined; direction: Direction } {
    if (this.#edited === undefined) return this.#stopped ?? { from: undefined, direction: "forward" };
    const stopped = this.#stopped?.direction === "forward" ? this.#stopped.from : this.#edited;
    return { from: Math.min(stopped, this.#edited), direction: "forward" };
  }

  async #follow({ from, direction }: { from: number | undefined; direction: Direction }): Promise<void> {
    this.#edited = undefined;
    this.#stopped = undefined;
    const signal = this.#ended.signal;
    const step = direction === "forward" ? 1 : -1;
    let next = from;
    try {
      for await (const masks of this.#video.propagate({
        direction,
        signal,
        ...(from !== undefined && { from }),
      })) {
        await this.#found(masks);
        next = masks.frame + step;
        if (this.#pausing) {
          const { frameCount = Number.POSITIVE_INFINITY } = this.#video;
          if (next >= 0 && next < frameCount) this.#stopped = { from: next, direction };
          return;
        }
      }
    } catch (error) {
      if (next !== undefined) this.#stopped = { from: next, direction };
      throw error;
    }
  }
}
