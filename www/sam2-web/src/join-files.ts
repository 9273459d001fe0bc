import { Sam2Error } from "./errors.js";
import { dataLength, type Header, headerEnd, readHeader } from "./safetensors.js";
import type { ModelFile } from "./types.js";

/** Of one file of a checkpoint. */
interface Part {
  name: string;
  header: Header;
  tensors: Blob;
}

/**
 * A checkpoint in several safetensors files as one file, which refers to them: nothing of their tensors is read.
 *
 * With an index (`model.safetensors.index.json`) among them, it is the files that the index names; else those that end in
 * `.safetensors` or have no name. Others, such as a folder has beside them, are left out.
 *
 * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` where a file is missing, `WEIGHTS_UNSUPPORTED` for one that is no
 * safetensors file, `WEIGHTS_CORRUPT` for one that is cut.
 */
export async function joinFiles(files: readonly ModelFile[]): Promise<Blob> {
  const blobs = files.map(toBlob);
  const [only, ...more] = blobs;
  if (only && !more.length) return only; // of any kind
  const parts = await Promise.all((await chooseParts(blobs)).map(readPart));
  const joined: Record<string, unknown> = {};
  let start = 0;
  for (const { name, header, tensors } of parts) {
    const { __metadata__: metadata, ...named } = header;
    // What the first says of the whole counts.
    joined.__metadata__ ??= metadata;
    for (const [tensor, { data_offsets: [begin, end] = [0, 0], ...rest }] of Object.entries(named)) {
      if (Object.hasOwn(joined, tensor)) {
        throw new Sam2Error(
          "WEIGHTS_UNSUPPORTED",
          `${name} has a tensor ${tensor} that another file has too. Give the files of one checkpoint only.`,
        );
      }
      joined[tensor] = { ...rest, data_offsets: [begin + start, end + start] };
    }
    start += tensors.size;
  }
  const text = new TextEncoder().encode(JSON.stringify(joined));
  const size = new DataView(new ArrayBuffer(8));
  size.setBigUint64(0, BigInt(text.length), true);
  return new Blob([size, text, ...parts.map(({ tensors }) => tensors)]);
}

function toBlob(file: unknown): Blob {
  if (file instanceof Blob) return file;
  if (file instanceof ArrayBuffer && file.byteLength) return new Blob([file]);
  throw new Sam2Error(
    "UNSUPPORTED_INPUT",
    "A model in several files is an array of Blobs or ArrayBuffers, of which none is empty or was handed over before.",
  );
}

const nameOf = (file: Blob) => (file as Partial<File>).name;

async function chooseParts(files: readonly Blob[]): Promise<Blob[]> {
  const index = files.find((file) => nameOf(file)?.endsWith(".index.json"));
  if (!index) {
    const parts = files.filter((file) => nameOf(file)?.endsWith(".safetensors") ?? true);
    if (parts.length) return parts;
    throw new Sam2Error("UNSUPPORTED_INPUT", `None of the ${files.length} files is a .safetensors file.`);
  }
  const names = await namesIn(index);
  const missing: string[] = [];
  const parts = names.flatMap((name) => {
    const part = files.find((file) => nameOf(file) === name);
    if (!part) missing.push(name);
    return part ?? [];
  });
  if (!missing.length) return parts;
  throw new Sam2Error(
    "UNSUPPORTED_INPUT",
    `The checkpoint is in ${names.length} files, and ${missing.join(", ")} is not among those given. Give all of them.`,
  );
}

async function namesIn(index: Blob): Promise<string[]> {
  let map: unknown;
  try {
    map = (JSON.parse(await index.text()) as { weight_map?: unknown } | null)?.weight_map;
  } catch {
    // It is told below.
  }
  const names = typeof map === "object" && map !== null ? [...new Set(Object.values(map).map(String))] : [];
  if (names.length) return names.sort();
  throw new Sam2Error(
    "WEIGHTS_CORRUPT",
    `${nameOf(index)} is no index: it has no weight_map that names files. Get it again, or leave it out.`,
  );
}

async function readPart(file: Blob, index: number): Promise<Part> {
  const name = nameOf(file) ?? `The file ${index + 1}`;
  const bytes = async (end: number) => new Uint8Array(await file.slice(0, end).arrayBuffer());
  const end = headerEnd(await bytes(8));
  const header = end && end <= file.size ? readHeader(await bytes(end)) : undefined;
  if (!end || !header) {
    throw new Sam2Error(
      "WEIGHTS_UNSUPPORTED",
      `${name} is no safetensors file, and of several files only such are read in a page. Save the checkpoint in one file, ` +
        "or as safetensors.",
    );
  }
  const tensors = file.slice(end);
  if (tensors.size === dataLength(header)) return { name, header, tensors };
  throw new Sam2Error(
    "WEIGHTS_CORRUPT",
    `${name} is cut or damaged: its header tells of ${dataLength(header)} bytes of tensors, and there are ${tensors.size}. ` +
      "Get the whole file again.",
  );
}
