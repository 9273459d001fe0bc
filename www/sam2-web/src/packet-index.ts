import { EncodedPacketSink, type InputVideoTrack } from "mediabunny";
import { Sam2Error } from "./errors.js";
import { isHidden, mayHidePackets } from "./hidden-packet.js";
import { check } from "./until.js";

/**
 * A track's packets from the first key packet on, and the pictures that they hold. A picture's number is its place in
 * the order of showing, which names it also where two have the same time.
 */
export interface PacketIndex {
  /** By place in the order of decoding: the number of its picture, or -1 where it has none to show. */
  readonly pictures: Int32Array;
  /** By place: 1 for a key packet. */
  readonly keys: Uint8Array;
  /** By place: what the demuxer calls it. */
  readonly sequence: Float64Array;
  /** By picture: the place of its packet. */
  readonly places: Int32Array;
  /** By picture: when it begins and ends, in the demuxer's seconds. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** Pictures before the first key packet, which nothing can decode. */
  readonly before: number;
}

/** Reads an MP4's tables, but a WebM's whole file. */
export async function readPacketIndex(
  track: InputVideoTrack,
  signal: AbortSignal | undefined,
): Promise<PacketIndex> {
  const codec = await track.getCodec();
  const hides = mayHidePackets(codec) ? codec : undefined;
  const sink = new EncodedPacketSink(track);
  const firstKey = await sink.getFirstKeyPacket({ verifyKeyPackets: true });
  const pictures: { place: number; start: number; end: number }[] = [];
  const keys: number[] = [];
  const sequence: number[] = [];
  let before = 0;
  let place = -1;
  for await (const packet of sink.packets(undefined, undefined, { metadataOnly: !hides })) {
    check(signal);
    const shows = !(hides && isHidden(hides, packet.data));
    if (packet.sequenceNumber === firstKey?.sequenceNumber) place = 0;
    if (place < 0) {
      if (shows) before++;
      continue;
    }
    keys.push(packet.type === "key" ? 1 : 0);
    sequence.push(packet.sequenceNumber);
    if (shows) pictures.push({ place, start: packet.timestamp, end: packet.timestamp + packet.duration });
    place++;
  }
  if (before === 0 && place <= 0)
    throw new Sam2Error("VIDEO_CORRUPT", "The file's video track has no frames.");
  if (!firstKey) {
    throw new Sam2Error(
      "VIDEO_CORRUPT",
      `None of the file's ${before} frames can be decoded: they say what changes from a key frame, and the file has no key frame.`,
    );
  }
  // Of equal times the packet that comes first is shown first.
  pictures.sort((a, b) => a.start - b.start || a.place - b.place);
  const numbers = new Int32Array(sequence.length).fill(-1);
  for (const [number, picture] of pictures.entries()) numbers[picture.place] = number;
  return {
    pictures: numbers,
    keys: Uint8Array.from(keys),
    sequence: Float64Array.from(sequence),
    places: Int32Array.from(pictures, (picture) => picture.place),
    starts: Float64Array.from(pictures, ({ start }) => start),
    ends: Float64Array.from(pictures, ({ end }) => end),
    before,
  };
}
