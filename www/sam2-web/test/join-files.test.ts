import { describe, expect, it } from "vitest";
import { joinFiles } from "../src/join-files.js";
import { headerEnd, readHeader } from "../src/safetensors.js";

type Tensors = Record<string, number[]>;

/** A safetensors file of bytes. */
function safetensors(tensors: Tensors, metadata?: Record<string, string>): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let at = 0;
  for (const [name, values] of Object.entries(tensors)) {
    header[name] = { dtype: "U8", shape: [values.length], data_offsets: [at, at + values.length] };
    at += values.length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(Object.values(tensors).flat(), 8 + text.length);
  return file;
}

/** What is in a safetensors file of bytes. */
async function read(file: Blob): Promise<{ tensors: Tensors; metadata: unknown }> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const end = headerEnd(bytes) ?? 0;
  const { __metadata__: metadata, ...header } = readHeader(bytes.subarray(0, end)) ?? {};
  const tensors = Object.fromEntries(
    Object.entries(header).map(([name, { data_offsets: [a, b] = [0, 0] }]) => [
      name,
      [...bytes.subarray(end + a, end + b)],
    ]),
  );
  return { tensors, metadata };
}

const first = safetensors({ a: [1, 2, 3], b: [4] }, { config: "{}", format: "pt" });
const second = safetensors({ c: [5, 6] }, { format: "other" });
const all = { tensors: { a: [1, 2, 3], b: [4], c: [5, 6] }, metadata: { config: "{}", format: "pt" } };
const index = (map: unknown) =>
  new File(
    [JSON.stringify({ metadata: { total_size: 6 }, weight_map: map })],
    "model.safetensors.index.json",
  );
const named = (bytes: Uint8Array<ArrayBuffer>, name: string) => new File([bytes], name);
const parts = [named(first, "model-1.safetensors"), named(second, "model-2.safetensors")] as const;
const failure = (...files: Parameters<typeof joinFiles>[0]) => joinFiles(files).catch((error) => error);

describe("a model in several files", () => {
  it("is one of all their tensors, whatever form the files have", async () => {
    for (const files of [
      [first.buffer, second.buffer],
      [new Blob([first]), second.buffer],
      parts,
      [...parts, new File(["# A model"], "README.md"), new File(["{}"], "config.json")],
    ])
      expect(await read(await joinFiles(files))).toEqual(all);
  });

  it("is of the files that its index names, in any order", async () => {
    const map = { a: "model-1.safetensors", b: "model-1.safetensors", c: "model-2.safetensors" };
    const other = named(safetensors({ d: [9] }), "other.safetensors");
    expect(await read(await joinFiles([other, parts[1], index(map), parts[0]]))).toEqual(all);
    const missing = await failure(parts[0], index(map));
    expect(missing).toMatchObject({
      code: "UNSUPPORTED_INPUT",
      message: expect.stringContaining("model-2.safetensors is not among those given"),
    });
    for (const wrong of [{}, null, 3, undefined])
      expect(await failure(...parts, index(wrong))).toMatchObject({
        code: "WEIGHTS_CORRUPT",
        message: expect.stringContaining("weight_map"),
      });
    expect(await failure(...parts, new File(["no JSON"], "a.index.json"))).toMatchObject({
      code: "WEIGHTS_CORRUPT",
    });
  });

  it("may be in one file of any kind", async () => {
    const file = new Blob(["PK\x03\x04"]);
    expect(await joinFiles([file])).toBe(file);
  });

  it("is refused where a file is cut, of another kind, doubled, empty or none", async () => {
    const code = async (...files: unknown[]) => (await failure(...(files as Blob[])))?.code;
    for (const end of [second.length - 1, 20, 9])
      expect(await code(first.buffer, new Blob([second.subarray(0, end)])), String(end)).toMatch(
        /^WEIGHTS_(CORRUPT|UNSUPPORTED)$/,
      );
    expect(await code(first.buffer, new Blob([second, "more"]))).toBe("WEIGHTS_CORRUPT");
    expect(await code(first.buffer, new Blob(["PK\x03\x04 and so on"]))).toBe("WEIGHTS_UNSUPPORTED");
    expect(await code(first.buffer, new Blob([]))).toBe("WEIGHTS_UNSUPPORTED");
    expect(await failure(first.buffer, first.buffer)).toMatchObject({
      code: "WEIGHTS_UNSUPPORTED",
      message: expect.stringContaining("a tensor a"),
    });
    expect(await code()).toBe("UNSUPPORTED_INPUT");
    expect(await code(new ArrayBuffer(0), first.buffer)).toBe("UNSUPPORTED_INPUT");
    expect(await code("model-1.safetensors", "model-2.safetensors")).toBe("UNSUPPORTED_INPUT");
    expect(await code(new File([""], "a.md"), new File([""], "b.md"))).toBe("UNSUPPORTED_INPUT");
  });
});
