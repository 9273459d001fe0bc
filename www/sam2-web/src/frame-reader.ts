import type { InputVideoTrack, VideoSample } from "mediabunny";
import { Sam2Error, toSam2Error } from "./errors.js";
import type { PacketIndex } from "./packet-index.js";
import { isKeyPacket, PacketRun } from "./packet-run.js";
import type { RawPicture } from "./protocol.js";
import { check } from "./until.js";

/** At most so many pictures, and so many bytes of them, are kept on the way back through a clip. */
const KEPT_PICTURES = 32;
const KEPT_BYTES = 64 * 2 ** 20;

/** After so many damaged packets between two key packets, those up to the next are given up. */
const DAMAGED_AT_MOST = 8;

/** What is known of a file's damage: for all its readers, so that none finds it out again. */
export class Damage {
  /** Places of packets that the decoder refuses. */
  readonly packets = new Set<number>();
  /** Pictures that cannot be had, and why. */
  readonly pictures = new Map<number, Sam2Error>();
}

export interface PictureSize {
  /** In pixels, as shown. */
  readonly width: number;
  readonly height: number;
  /** In pixels, as stored. */
  readonly stored: string;
}

/**
 * Any picture of a track, and quickly the one after the last, or before it. Backward, a run of pictures is decoded at
 * once and kept.
 */
export class FrameReader {
  readonly #track: InputVideoTrack;
  readonly #index: PacketIndex;
  readonly #damage: Damage;
  readonly #size: PictureSize;
  /** How many pictures a run backward is long. */
  readonly #stretch: number;
  #turns: Promise<unknown> = Promise.resolve();
  #run: PacketRun | undefined;
  /** The place of the key packet from which the decoder runs. */
  #key = 0;
  /** The picture that the decoder gives next. */
  #next = 0;
  #last = -1;
  readonly #kept = new Map<number, RawPicture>();

  constructor(track: InputVideoTrack, index: PacketIndex, damage: Damage, size: PictureSize) {
    this.#track = track;
    this.#index = index;
    this.#damage = damage;
    this.#size = size;
    const fitting = Math.floor(KEPT_BYTES / (size.width * size.height * 4));
    this.#stretch = Math.max(2, Math.min(KEPT_PICTURES, fitting));
  }

  /** The picture's pixels; the caller's. */
  read(picture: number, signal?: AbortSignal): Promise<RawPicture> {
    const turn = this.#turns.then(() => {
      check(signal);
      return this.#read(picture, signal);
    });
    this.#turns = turn.catch(() => {});
    return turn;
  }

  close(): void {
    this.#kept.clear();
    this.#stop();
  }

  async #read(picture: number, signal: AbortSignal | undefined): Promise<RawPicture> {
    const kept = this.#kept.get(picture);
    const stepsBack = picture < this.#last && this.#last - picture <= this.#stretch;
    this.#last = picture;
    if (kept) {
      this.#kept.delete(picture);
      return kept;
    }
    this.#kept.clear();
    for (;;) {
      const damage = this.#damage.pictures.get(picture);
      if (damage) throw damage;
      try {
        return await this.#decodeTo(picture, stepsBack, signal);
      } catch (error) {
        // The decoder is of no use any more; the next call starts another.
        const reached = this.#run?.reached ?? 0;
        this.#stop();
        const known = toVideoError(error, this.#what(picture));
        if (known.code !== "VIDEO_CORRUPT") throw known;
        await this.#locate(picture, reached, known);
        check(signal);
      }
    }
  }

  #what(picture: number): string {
    return `The frame at ${(this.#index.starts[picture] ?? 0).toFixed(3)} s cannot be read`;
  }

  /** Decodes on to the picture; if that was a step back, from some before it, which are kept. */
  async #decodeTo(picture: number, stepsBack: boolean, signal: AbortSignal | undefined): Promise<RawPicture> {
    let first = stepsBack ? Math.max(0, picture - this.#stretch + 1) : picture;
    const key = keyOf(this.#index, first);
    // Going on to the picture is quicker than seeking it, unless a key packet lies between.
    const reaches = this.#run && first >= this.#next && (first === this.#next || key <= this.#key);
    if (!this.#run || !reaches) {
      this.#stop();
      this.#run = new PacketRun(
        this.#track,
        this.#index,
        [key, this.#index.keys.length],
        this.#damage.packets,
      );
      this.#key = key;
    } else first = Math.max(first, this.#next);
    for (;;) {
      check(signal);
      const given = await this.#run.next();
      if (!given) throw new Error("the data ends before it");
      const { number, sample } = given;
      try {
        this.#next = number + 1;
        if (number > picture) throw new Error("the decoder left it out");
        if (this.#index.keys[this.#index.places[number] ?? 0]) this.#key = this.#index.places[number] ?? 0;
        if (number < first) continue;
        const pixels = await toPixels(sample, this.#size);
        if (number === picture) return pixels;
        this.#kept.set(number, pixels);
      } finally {
        sample.close();
      }
    }
  }

  /** Finds out what is damaged when a picture did not come, so that the next try goes without it. */
  async #locate(picture: number, reached: number, error: Sam2Error): Promise<void> {
    const { keys, places } = this.#index;
    const { packets, pictures } = this.#damage;
    const key = keyOf(this.#index, picture);
    const place = places[picture] ?? 0;
    if (key > 0 && (this.#hasLeading(key) || !(await isKeyPacket(this.#track, this.#index, key)))) {
      // Not every decoder begins there: an open group of pictures, or no key packet at all.
      keys[key] = 0;
      return;
    }
    const bad = await this.#firstRefused(key, Math.max(reached, place + 1));
    if (bad === undefined) {
      pictures.set(picture, error);
      return;
    }
    const next = keys.indexOf(1, bad + 1);
    const end = next < 0 ? keys.length : next;
    let count = 0;
    for (const other of packets) if (other >= key && other < end) count++;
    // Without the key packet, or after much damage, nothing up to the next one is worth showing; and where leaving the
    // packet out did not help, the file ends there.
    const givenUp = bad === key || count >= DAMAGED_AT_MOST || packets.has(bad);
    if (givenUp) pictures.set(picture, error);
    for (let at = bad; at < (givenUp ? end : bad + 1); at++) {
      packets.add(at);
      const lost = this.#index.pictures[at] ?? -1;
      if (lost >= 0) pictures.set(lost, lost === picture ? error : this.#another(lost, error));
    }
  }

  /** Whether pictures that are decoded after a key packet are shown before it. */
  #hasLeading(key: number): boolean {
    const { keys, pictures } = this.#index;
    for (let place = key + 1; place < keys.length && !keys[place]; place++) {
      const number = pictures[place] ?? -1;
      if (number >= 0 && number < (pictures[key] ?? 0)) return true;
    }
    return false;
  }

  #another(picture: number, { cause }: Sam2Error): Sam2Error {
    return toVideoError(cause, this.#what(picture));
  }

  /** The place of the first packet at which the decoder fails, between a key packet and a place; nothing if none. */
  async #firstRefused(key: number, to: number): Promise<number | undefined> {
    if (await this.#decodes(key, to)) return undefined;
    let [low, high] = [key, to - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (await this.#decodes(key, middle + 1)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #decodes(key: number, to: number): Promise<boolean> {
    const run = new PacketRun(this.#track, this.#index, [key, to], this.#damage.packets);
    try {
      for (let given = await run.next(); given; given = await run.next()) given.sample.close();
      // Where the file ends, its packets do.
      return run.reached >= to;
    } catch {
      return false;
    } finally {
      run.close();
    }
  }

  #stop(): void {
    this.#run?.close();
    this.#run = undefined;
  }
}

/** The first picture that can be decoded, and how large pictures are; nothing where none can. */
export async function firstPicture(
  track: InputVideoTrack,
  index: PacketIndex,
  signal: AbortSignal | undefined,
): Promise<{ picture: number; size: PictureSize } | undefined> {
  const shown = { width: await track.getDisplayWidth(), height: await track.getDisplayHeight() };
  for (let key = index.keys.indexOf(1); key >= 0; key = index.keys.indexOf(1, key + 1)) {
    const run = new PacketRun(track, index, [key, index.keys.length]);
    try {
      check(signal);
      const given = await run.next();
      if (!given) continue;
      const { number: picture, sample } = given;
      const size = { ...sizeAsShown(sample, shown), stored: stored(sample) };
      sample.close();
      return { picture, size };
    } catch (error) {
      const known = toVideoError(error);
      if (known.code !== "VIDEO_CORRUPT") throw known;
    } finally {
      run.close();
    }
  }
  return undefined;
}

/** The place of the key packet from which a picture is decoded. */
function keyOf({ keys, places, pictures }: PacketIndex, picture: number): number {
  let place = places[picture] ?? 0;
  while (place > 0 && !(keys[place] && (pictures[place] ?? 0) <= picture)) place--;
  return place;
}

/** The stream may say that its pixels are not square where the container does not; the container rounds as players do. */
function sizeAsShown(
  { displayWidth, displayHeight }: VideoSample,
  container: { width: number; height: number },
): { width: number; height: number } {
  const same =
    Math.abs(displayWidth - container.width) <= 1 && Math.abs(displayHeight - container.height) <= 1;
  return same ? container : { width: displayWidth, height: displayHeight };
}

function stored({ visibleRect: { width, height } }: VideoSample): string {
  return `${width} x ${height}`;
}

async function toPixels(sample: VideoSample, size: PictureSize): Promise<RawPicture> {
  const { width, height } = size;
  if (stored(sample) !== size.stored) {
    throw new Sam2Error(
      "FRAME_SIZE_CHANGED",
      `The video's frames change from ${size.stored} to ${stored(sample)} pixels. ` +
        "Cut the file there, or convert it to one size.",
    );
  }
  const { rotation, flip, visibleRect } = sample;
  const data = new Uint8ClampedArray(width * height * 4);
  if (!rotation && !flip && visibleRect.width === width && visibleRect.height === height) {
    try {
      const layout = [{ offset: 0, stride: width * 4 }];
      await sample.copyTo(data, { format: "RGBA", colorSpace: "srgb", layout });
      return { data, width, height };
    } catch {
      // Not every browser converts to RGBA.
    }
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) {
    throw new Sam2Error("OUT_OF_MEMORY", `The browser refused a canvas of ${width} x ${height} pixels.`);
  }
  sample.draw(context, 0, 0, width, height);
  return { data: context.getImageData(0, 0, width, height, { colorSpace: "srgb" }).data, width, height };
}

/** What the demuxer and the decoder throw has no codes. */
export function toVideoError(thrown: unknown, what = "The file cannot be read"): Sam2Error {
  if (thrown instanceof Sam2Error) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (/fetch/i.test(message)) {
    return new Sam2Error(
      "NETWORK",
      `${what}: ${message}. Check the URL, the server's CORS headers and the page's connect-src policy.`,
      { cause: thrown },
    );
  }
  const known = toSam2Error(thrown);
  if (known.code === "OUT_OF_MEMORY") return known;
  return new Sam2Error("VIDEO_CORRUPT", `${what}: ${message}. It is damaged, or was cut.`, { cause: thrown });
}
