/** One entry of an MP4's edit list: a stretch of the track's media, or nothing, shown for some time. */
export interface Edit {
  /** Seconds; infinite where the entry does not say. */
  duration: number;
  /** Where in the media it begins, in seconds; undefined where nothing is shown. */
  start: number | undefined;
}

export interface EditList {
  edits: Edit[];
  /** Seconds by which a duration may be out, as it is counted in whole ticks. */
  rounding: number;
}

/** Bytes of the file, or nothing where it ends before them. */
export type ReadBytes = (start: number, end: number) => Promise<Uint8Array | undefined>;

/** A movie header is some megabytes at most, also of a film. */
const MAX_HEADER = 256 * 2 ** 20;

/**
 * The edit list of a track of an MP4 or MOV (ISO/IEC 14496-12, 8.6.6); undefined where it has none. The demuxer takes
 * an offset from it but does not say where it ends, nor how its parts follow each other.
 */
export async function readEditList(read: ReadBytes, trackId: number): Promise<EditList | undefined> {
  const movie = await findMovie(read);
  if (!movie) return undefined;
  const header = child(movie, "mvhd");
  const track = boxes(movie).find(({ type, body }) => type === "trak" && trackNumber(body) === trackId)?.body;
  const media = track && child(track, "mdia");
  const mediaHeader = media && child(media, "mdhd");
  const edts = track && child(track, "edts");
  const list = edts && child(edts, "elst");
  if (!header || !mediaHeader || !list) return undefined;
  const [movieScale, mediaScale] = [timescale(header), timescale(mediaHeader)];
  if (!(movieScale && mediaScale) || list.byteLength < 8) return undefined;
  const wide = list.getUint8(0) === 1;
  const entry = wide ? 20 : 12;
  const count = Math.min(list.getUint32(4), Math.floor((list.byteLength - 8) / entry));
  const edits = Array.from({ length: count }, (_, i): Edit => {
    const at = 8 + i * entry;
    const duration = wide ? Number(list.getBigUint64(at)) : list.getUint32(at);
    const start = wide ? Number(list.getBigInt64(at + 8)) : list.getInt32(at + 4);
    return {
      // Fragmented files are written before their length is known.
      duration: duration === 0 ? Number.POSITIVE_INFINITY : duration / movieScale,
      start: start < 0 ? undefined : start / mediaScale,
    };
  });
  return edits.some(({ start }) => start !== undefined) ? { edits, rounding: 0.5 / movieScale } : undefined;
}

/** The body of the file's `moov` box. */
async function findMovie(read: ReadBytes): Promise<DataView | undefined> {
  for (let at = 0; ; ) {
    const start = await read(at, at + 16);
    if (!start) return undefined;
    const view = viewOf(start);
    let [head, size] = [8, view.getUint32(0)];
    if (size === 1) [head, size] = [16, Number(view.getBigUint64(8))];
    if (typeAt(view, 4) === "moov") {
      const bytes = size <= MAX_HEADER ? await read(at + head, at + size) : undefined;
      return bytes && viewOf(bytes);
    }
    if (size < head) return undefined; // to the end of the file, or damaged
    at += size;
  }
}

function boxes(parent: DataView): { type: string; body: DataView }[] {
  const found: { type: string; body: DataView }[] = [];
  for (let at = 0; at + 8 <= parent.byteLength; ) {
    let [head, size] = [8, parent.getUint32(at)];
    if (size === 1 && at + 16 <= parent.byteLength) [head, size] = [16, Number(parent.getBigUint64(at + 8))];
    if (size === 0) size = parent.byteLength - at;
    if (size < head || at + size > parent.byteLength) break;
    const body = new DataView(parent.buffer, parent.byteOffset + at + head, size - head);
    found.push({ type: typeAt(parent, at + 4), body });
    at += size;
  }
  return found;
}

function child(parent: DataView, type: string): DataView | undefined {
  return boxes(parent).find((box) => box.type === type)?.body;
}

function trackNumber(track: DataView): number | undefined {
  const header = child(track, "tkhd");
  const at = header?.byteLength && header.getUint8(0) === 1 ? 20 : 12;
  return header && header.byteLength >= at + 4 ? header.getUint32(at) : undefined;
}

/** Of `mvhd` and `mdhd`, which begin alike. */
function timescale(header: DataView): number | undefined {
  const at = header.byteLength && header.getUint8(0) === 1 ? 20 : 12;
  return header.byteLength >= at + 4 ? header.getUint32(at) : undefined;
}

function typeAt(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A frame of the media: when it begins and ends in the demuxer's time. */
export interface MediaFrame {
  start: number;
  end: number;
}

/** A frame that is shown: which of the media's, and when. */
export interface ShownFrame {
  media: number;
  timestamp: number;
}

/** What of the media is shown, in the order of showing, and how long all of it lasts. */
export function applyEditList(
  frames: readonly MediaFrame[],
  { edits, rounding }: EditList,
): { shown: ShownFrame[]; duration: number } {
  // What the demuxer has taken off the media's times: it knows the first entry that shows something.
  const first = edits.findIndex(({ start }) => start !== undefined);
  const before = edits.slice(0, first).reduce((sum, { duration }) => sum + duration, 0);
  const offset = (edits[first]?.start ?? 0) - before;
  const shown: ShownFrame[] = [];
  let now = 0;
  for (const [index, { duration, start }] of edits.entries()) {
    if (start !== undefined) {
      for (const [media, frame] of frames.entries()) {
        const at = frame.start + offset - start;
        // One that began before the cut is still shown after it.
        const begun = at >= -rounding || frame.end + offset - start > rounding;
        if (!begun || at >= duration - rounding) continue;
        // Not before what the entry before has shown.
        shown.push({ media, timestamp: now + (index > first ? Math.max(0, at) : at) });
      }
    }
    now += duration;
  }
  const last = shown.at(-1);
  const end = last ? last.timestamp + (frames[last.media]?.end ?? 0) - (frames[last.media]?.start ?? 0) : 0;
  return { shown, duration: Math.min(now, end) };
}
