// Decoding of files: the only part that knows the demuxer. Runs in a worker of its own, or on the page's thread.
import {
  BlobSource,
  Input,
  type InputVideoTrack,
  IsobmffInputFormat,
  MATROSKA,
  MP4,
  QTFF,
  type Source,
  UnsupportedInputFormatError,
  UrlSource,
  WEBM,
} from "mediabunny";
import { applyEditList, type ReadBytes, readEditList } from "./edit-list.js";
import { Sam2Error } from "./errors.js";
import { Damage, FrameReader, firstPicture, toVideoError } from "./frame-reader.js";
import { decodeOpaque } from "./opaque-decoder.js";
import { type PacketIndex, readPacketIndex } from "./packet-index.js";
import type { CallContext, RawPicture } from "./protocol.js";
import { checkSize } from "./size.js";
import { check } from "./until.js";

/** What a file is asked, also across a worker's boundary. */
export interface FileCalls {
  open: { args: { file: Blob | string }; result: FileInfo };
  pixels: { args: { frame: number }; result: RawPicture };
  bitmap: { args: { frame: number; width: number | undefined }; result: ImageBitmap };
}

export interface FileInfo {
  /** In pixels, as shown. */
  width: number;
  height: number;
  /** Of all that is shown, in seconds. */
  duration: number;
  /** Frames at the start that cannot be decoded, as the key frame that they need is not there; not counted. */
  leftOut: number;
  /** When each frame is shown, in seconds, ascending. */
  timestamps: Float64Array<ArrayBuffer>;
}

type FileHandlers = {
  [M in keyof FileCalls]: (
    args: FileCalls[M]["args"],
    signal: AbortSignal | undefined,
  ) => Promise<FileCalls[M]["result"]>;
};

/** One file, behind the calls of {@link FileCalls}. */
export class VideoFile {
  #input: Input | undefined;
  /** One for tracking and one for showing, so that neither makes the other seek. */
  #tracking: FrameReader | undefined;
  #showing: FrameReader | undefined;
  /** By frame: the number of its picture. */
  #pictures = new Int32Array();

  async call<M extends keyof FileCalls>(
    method: M,
    args: FileCalls[M]["args"],
    { signal }: CallContext = {},
  ): Promise<FileCalls[M]["result"]> {
    try {
      return await (this.#handlers as FileHandlers)[method](args, signal);
    } catch (error) {
      throw error instanceof UnsupportedInputFormatError
        ? new Sam2Error(
            "VIDEO_UNSUPPORTED",
            "The file is not an MP4, MOV or WebM video. Convert it to one of them.",
            { cause: error },
          )
        : toVideoError(error);
    }
  }

  close(): void {
    for (const reader of [this.#tracking, this.#showing]) reader?.close();
    this.#input?.dispose();
  }

  readonly #handlers: FileHandlers = {
    open: async ({ file }, signal) => {
      if (typeof VideoDecoder === "undefined") {
        throw new Sam2Error(
          "VIDEO_UNSUPPORTED",
          "This browser has no WebCodecs, so it cannot take a file's frames one by one. Pass openVideo an async " +
            "iterable of ImageBitmap instead, or a <video>.",
        );
      }
      const source =
        typeof file === "string"
          ? new UrlSource(file, { getRetryDelay: (attempts) => (attempts < 3 ? 0.5 * attempts : null) })
          : new BlobSource(file);
      this.#input = new Input({ source, formats: [MP4, QTFF, WEBM, MATROSKA] });
      const track = await this.#input.getPrimaryVideoTrack();
      check(signal);
      if (!track) {
        if ((await this.#input.getTracks()).length === 0)
          throw new Sam2Error("VIDEO_CORRUPT", "The file has no tracks at all. It is damaged, or was cut.");
        throw new Sam2Error("NO_VIDEO_TRACK", "The file has no video track. Is it a sound recording?");
      }
      if (!(await track.canDecode())) {
        const codec = (await track.getCodecParameterString()) ?? track.codec ?? "an unknown codec";
        throw new Sam2Error(
          "VIDEO_UNSUPPORTED",
          `This browser cannot decode the file's video (${codec}). Convert it to another codec, such as H.264 or VP9, ` +
            "or pass openVideo an async iterable of its frames.",
        );
      }
      // Once it is known that the browser decodes it: of our own decoder the demuxer takes that as given.
      if (await track.canBeTransparent()) decodeOpaque();
      const index = await readPacketIndex(track, signal);
      const first = await firstPicture(track, index, signal);
      if (!first) {
        throw new Sam2Error("VIDEO_CORRUPT", "None of the file's frames can be decoded. It is damaged.");
      }
      const { size } = first;
      checkSize(size.width, size.height);
      const { shown, duration } = await whatIsShown(this.#input, source, track, index);
      const kept = shown.filter(({ media }) => media >= first.picture);
      if (kept.length === 0) {
        throw new Sam2Error(
          "VIDEO_CORRUPT",
          "The file's edit list shows none of its frames that can be decoded.",
        );
      }
      this.#pictures = Int32Array.from(kept, ({ media }) => media);
      const damage = new Damage();
      this.#tracking = new FrameReader(track, index, damage, size);
      this.#showing = new FrameReader(track, index, damage, size);
      const { width, height } = size;
      const timestamps = Float64Array.from(kept, ({ timestamp }) => timestamp);
      return { width, height, duration, timestamps, leftOut: index.before + shown.length - kept.length };
    },

    pixels: ({ frame }, signal) => this.#read(this.#tracking, frame, signal),

    bitmap: async ({ frame, width: wanted }, signal) => {
      const { data, width, height } = await this.#read(this.#showing, frame, signal);
      const resize = wanted && wanted < width ? { resizeWidth: wanted } : {};
      return createImageBitmap(new ImageData(data, width, height), resize);
    },
  };

  #read(
    reader: FrameReader | undefined,
    frame: number,
    signal: AbortSignal | undefined,
  ): Promise<RawPicture> {
    const picture = this.#pictures[frame];
    if (!reader || picture === undefined) throw new Sam2Error("INTERNAL", "The file is not open.");
    return reader.read(picture, signal);
  }
}

/** Which pictures are shown, and when: in the order of showing, or as an MP4's edit list says. */
async function whatIsShown(
  input: Input,
  source: Source,
  track: InputVideoTrack,
  { starts, ends }: PacketIndex,
) {
  const pictures = Array.from(starts, (start, number) => ({ start, end: ends[number] ?? start }));
  const isMp4 = (await input.getFormat()) instanceof IsobmffInputFormat;
  const list = isMp4 ? await readEditList(bytesOf(source), track.id) : undefined;
  if (list) return applyEditList(pictures, list);
  const shown = pictures
    .map(({ start, end }, media) => ({ media, timestamp: start, end }))
    // Those that end before time 0 are there for the decoder only.
    .filter(({ timestamp, end }) => timestamp >= 0 || end > 0);
  return { shown, duration: await track.computeDuration() };
}

/** By the demuxer's own hook, which its declarations leave out: a URL's bytes are then not fetched twice. */
function bytesOf(source: Source): ReadBytes {
  const { _read: read } = source as unknown as {
    _read(
      start: number,
      end: number,
      least: number,
      most: number,
    ): Promise<{ bytes: Uint8Array; offset: number } | null>;
  };
  return async (start, end) => {
    const found = await read.call(source, start, end, 0, Number.POSITIVE_INFINITY);
    const bytes = found?.bytes.subarray(start - found.offset, end - found.offset);
    return bytes?.length === end - start ? bytes : undefined;
  };
}
