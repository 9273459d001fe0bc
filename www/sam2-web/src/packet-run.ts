import {
  type EncodedPacket,
  EncodedPacketSink,
  type InputVideoTrack,
  type VideoSample,
  VideoSampleSink,
} from "mediabunny";
import type { PacketIndex } from "./packet-index.js";

/** The packets from a key packet on, timed by their pictures' numbers instead of the file's times. */
class NumberedPackets extends EncodedPacketSink {
  /** Packets that were given so far end before this place. */
  reached: number;
  readonly #track: InputVideoTrack;
  readonly #index: PacketIndex;
  readonly #from: number;
  readonly #to: number;
  readonly #leaveOut: ReadonlySet<number>;

  constructor(
    track: InputVideoTrack,
    index: PacketIndex,
    [from, to]: readonly [from: number, to: number],
    leaveOut: ReadonlySet<number>,
  ) {
    super(track);
    this.#track = track;
    this.#index = index;
    this.#from = from;
    this.#to = to;
    this.reached = from;
    this.#leaveOut = leaveOut;
  }

  override async getKeyPacket(): Promise<EncodedPacket | null> {
    const packet = await this.#key();
    return packet && this.#numbered(packet, this.#from);
  }

  override async getFirstKeyPacket(): Promise<null> {
    return null;
  }

  override async *packets(): AsyncGenerator<EncodedPacket, void, unknown> {
    let packet = await this.#key();
    for (let place = this.#from; packet && place < this.#to; place++) {
      this.reached = place + 1;
      if (this.#isWanted(place, packet)) yield this.#numbered(packet, place);
      packet = await this.getNextPacket(packet);
    }
  }

  #isWanted(place: number, { byteLength }: EncodedPacket): boolean {
    const { pictures } = this.#index;
    const number = pictures[place] ?? -1;
    // Shown before the key packet, it is predicted from pictures before that, which the decoder has not had.
    const leads = number >= 0 && number < (pictures[this.#from] ?? 0);
    // An empty packet repeats the picture before; decoders take it for the end.
    return !leads && byteLength > 0 && !this.#leaveOut.has(place);
  }

  async #key(): Promise<EncodedPacket | null> {
    const { starts, pictures, sequence } = this.#index;
    const time = starts[pictures[this.#from] ?? 0] ?? Number.NEGATIVE_INFINITY;
    let packet = await super.getKeyPacket(time);
    // Of several with one time the demuxer may give another.
    for (const wanted = sequence[this.#from] ?? 0; packet && packet.sequenceNumber !== wanted; ) {
      if (packet.sequenceNumber > wanted) packet = await super.getFirstKeyPacket();
      packet = packet && packet.sequenceNumber < wanted ? await this.getNextPacket(packet) : null;
    }
    return packet;
  }

  /** Whether the first packet is one from which decoding can begin; files say so of some that are not. */
  async beginsWell(): Promise<boolean> {
    const packet = await this.#key();
    // Where the file ends before it, that is for the reader to find out.
    return !packet || (await this.#track.determinePacketType(packet)) !== "delta";
  }

  #numbered(packet: EncodedPacket, place: number): EncodedPacket {
    const { pictures } = this.#index;
    let next = place;
    while (pictures[next] === -1) next++;
    const number = pictures[next] ?? pictures.length;
    return packet.clone({ timestamp: next === place ? number : number - 0.5, duration: 1 });
  }
}

class NumberedSamples extends VideoSampleSink {
  constructor(
    track: InputVideoTrack,
    readonly packets: NumberedPackets,
  ) {
    super(track);
  }

  /** The demuxer's own hook, which its declarations leave out. Its decoding mends what browsers do wrong. */
  _createPacketSink(): EncodedPacketSink {
    return this.packets;
  }
}

/** Pictures as the decoder gives them, in the order of showing, from a key packet on. */
export class PacketRun {
  readonly #samples: AsyncGenerator<VideoSample, void, unknown>;
  readonly #packets: NumberedPackets;
  #ahead: VideoSample | undefined;
  #last = -1;
  #byOrder = false;

  /**
   * @param range - places of the key packet, and of the packet before which it ends.
   * @param leaveOut - places of packets that the decoder does not get.
   */
  constructor(
    track: InputVideoTrack,
    index: PacketIndex,
    range: readonly [from: number, to: number],
    leaveOut: ReadonlySet<number> = new Set(),
  ) {
    this.#packets = new NumberedPackets(track, index, range, leaveOut);
    this.#samples = new NumberedSamples(track, this.#packets).samples();
  }

  /** The decoder got packets up to here: the place after the last one. */
  get reached(): number {
    return this.#packets.reached;
  }

  /** The next picture and its number: the caller's, who closes it. Nothing at the end. */
  async next(): Promise<{ number: number; sample: VideoSample } | undefined> {
    const sample = this.#ahead ?? (await this.#pull());
    this.#ahead = undefined;
    if (!sample) return undefined;
    let number = this.#byOrder ? sample.timestamp : ownNumber(sample);
    if (!this.#byOrder && number > this.#last + 1 && sample.timestamp < number) {
      // Either the decoder has left pictures out, or the file's times are not those of its pictures (some tools write
      // the order of decoding): then the one after comes before this one.
      this.#ahead = await this.#pull();
      if (this.#ahead && ownNumber(this.#ahead) < number) {
        this.#byOrder = true;
        number = sample.timestamp;
      }
    }
    this.#last = number;
    return { number, sample };
  }

  close(): void {
    this.#ahead?.close();
    this.#ahead = undefined;
    this.#samples.return().catch(() => {});
  }

  async #pull(): Promise<VideoSample | undefined> {
    return (await this.#samples.next()).value ?? undefined;
  }
}

/**
 * The number that the packet was given: browsers keep it. The demuxer numbers the decoder's pictures as they come, so
 * that those after one that is left out would be taken for the one before.
 */
function ownNumber(sample: VideoSample): number {
  const { _data: frame } = sample as unknown as { _data: unknown };
  if (!(frame instanceof VideoFrame)) return sample.timestamp;
  return Math.round(frame.timestamp / 1e6);
}

/** Of a packet that the file says is a key packet: whether it is one. */
export function isKeyPacket(track: InputVideoTrack, index: PacketIndex, place: number): Promise<boolean> {
  return new NumberedPackets(track, index, [place, place + 1], new Set()).beginsWell();
}
