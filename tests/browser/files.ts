// Files to try the package's readers on.
import { crc32, deflateSync } from "node:zlib";

/** A PNG that holds one colour, or only says that it is of this size where that is 0. */
export function png(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1; // one bit a pixel, grey
  const rows = Buffer.alloc(height * (1 + Math.ceil(width / 8)));
  return Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

/** A `.pt` whose pickle calls `os.system` when it is unpickled by Python. */
export function maliciousPt(): Buffer {
  // PROTO 2, GLOBAL os.system, the argument "true" in a tuple, REDUCE, STOP
  const pickle = Buffer.from("\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "latin1");
  return zip({ "archive/data.pkl": pickle, "archive/version": Buffer.from("3\n") });
}

/** A ZIP of uncompressed files, as `torch.save` writes it. */
function zip(files: Record<string, Buffer>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [path, data] of Object.entries(files)) {
    const name = Buffer.from(path);
    // version, flags, method, time, date, CRC, sizes, length of the name and of the extra field
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    parts.push(Buffer.from("504b0304", "hex"), common, name, data);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.from("504b01021400", "hex"), common, tail, name);
    offset += 4 + common.length + name.length + data.length;
  }
  const central = Buffer.concat(directory);
  const count = Object.keys(files).length;
  const end = Buffer.alloc(22);
  end.write("504b0506", 0, "hex");
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

/** A safetensors file whose header has been changed by `edit`. */
export function editHeader(
  file: Buffer,
  edit: (header: Record<string, { shape: number[] }> & { __metadata__: Record<string, string> }) => void,
): Buffer {
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString());
  edit(header);
  let text = JSON.stringify(header);
  text = text.padEnd(Math.ceil(text.length / 8) * 8);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  return Buffer.concat([size, Buffer.from(text), file.subarray(8 + length)]);
}

/** A safetensors file in two, and their index, as the tools of Hugging Face name them. */
export function inTwoFiles(file: Buffer): { name: string; buffer: Buffer }[] {
  const length = Number(file.readBigUInt64LE(0));
  const { __metadata__, ...tensors } = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const names = Object.keys(tensors);
  const halves = [names.slice(0, names.length / 2), names.slice(names.length / 2)];
  const map: Record<string, string> = {};
  const parts = halves.map((half, i) => {
    const name = `model-0000${i + 1}-of-00002.safetensors`;
    const header: Record<string, unknown> = { __metadata__ };
    const data: Buffer[] = [];
    let at = 0;
    for (const tensor of half) {
      const { data_offsets: [begin, end] = [0, 0], ...rest } = tensors[tensor] ?? {};
      header[tensor] = { ...rest, data_offsets: [at, at + end - begin] };
      data.push(file.subarray(8 + length + begin, 8 + length + end));
      at += end - begin;
      map[tensor] = name;
    }
    const text = Buffer.from(JSON.stringify(header));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    return { name, buffer: Buffer.concat([size, text, ...data]) };
  });
  const index = Buffer.from(JSON.stringify({ metadata: {}, weight_map: map }));
  return [...parts, { name: "model.safetensors.index.json", buffer: index }];
}
