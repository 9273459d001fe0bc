// Two models in one page, each with its own device, precision and faults. A software adapter computes in f32 whatever is
// asked, so there the precisions differ only as requests.
import { arm, prepareLoss } from "../lose-gpu.js";
import { expect, openTestPage, test, webgpuAdapter } from "../support.js";

type Choice = { model: string; device: "cpu" | "webgpu"; precision: "f32" | "f16" };

const pairs: [Choice, Choice][] = [
  [
    { model: "micro", device: "cpu", precision: "f32" },
    { model: "micro20", device: "cpu", precision: "f16" },
  ],
  [
    { model: "micro", device: "webgpu", precision: "f32" },
    { model: "micro", device: "webgpu", precision: "f16" },
  ],
  [
    { model: "micro20", device: "webgpu", precision: "f16" },
    { model: "micro", device: "cpu", precision: "f32" },
  ],
];

const name = ({ model, device, precision }: Choice) => `${model} on ${device} in ${precision}`;

for (const pair of pairs) {
  test(`${pair.map(name).join(" beside ")}: each answers as it does alone`, async ({ page }) => {
    test.setTimeout(600_000); // a software adapter is slow
    await openTestPage(page);
    const usesGpu = pair.some(({ device }) => device === "webgpu");
    test.skip(usesGpu && !(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
    const found = await page.evaluate(async (pair) => {
      const { load, fixture } = window.tools;
      const file = await fixture("picture.png");
      const open = async ({ model, ...how }: Choice) => {
        const sam = await load({ model: `/fixture/${model}.safetensors`, ...how });
        return { sam, image: await sam.setImage(file) };
      };
      type Opened = Awaited<ReturnType<typeof open>>;
      const answer = async ({ image }: Opened) => {
        const { masks } = await image.predict({
          points: [{ x: image.width / 2, y: image.height / 2, label: 1 }],
        });
        return masks.map(({ logits }) => logits);
      };
      const same = (a: Float32Array[], b: Float32Array[]) =>
        a.length === b.length && a.every((logits, i) => logits.every((value, j) => value === b[i]?.[j]));

      const alone: Float32Array[][] = [];
      const precisions: string[] = [];
      for (const choice of pair) {
        const opened = await open(choice);
        alone.push(await answer(opened));
        precisions.push(opened.sam.precision);
        opened.sam.dispose();
      }
      const both = await Promise.all(pair.map(open));
      const [first, second] = both as [Opened, Opened];
      const together = await Promise.all(both.map(answer));
      const results = {
        together: together.map((logits, i) => same(logits, alone[i] ?? [])),
        precisions: both.map(({ sam }, i) => sam.precision === precisions[i]),
        encodes: both.map(({ sam }) => (sam as typeof sam & { encodes: number }).encodes),
      };
      first.sam.dispose();
      const after = same(await answer(second), alone[1] ?? []);
      second.sam.dispose();
      return { ...results, after };
    }, pair);
    expect(found).toMatchObject({
      together: [true, true],
      precisions: [true, true],
      encodes: [1, 1],
      after: true,
    });
  });
}

test("a GPU that one model loses is not lost for the other", async ({ page }) => {
  test.setTimeout(600_000);
  await prepareLoss(page, true);
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await page.evaluate(async () => {
    const { load, fixture } = window.tools;
    const models = [];
    for (const precision of ["f32", "f16"] as const) {
      const sam = await load({ device: "webgpu", precision });
      models.push({ sam, image: await sam.setImage(await fixture("picture.png")) });
    }
    Object.assign(window, { models });
  });
  await arm(page, "destroy"); // the second model's
  const found = await page.evaluate(async () => {
    const { models, tools } = window as unknown as {
      models: { sam: import("sam2-web").Sam2; image: import("sam2-web").ImageEmbedding }[];
      tools: typeof window.tools;
    };
    const [first, second] = models;
    if (!first || !second) throw new Error("there are two models");
    const click = { points: [{ x: 20, y: 20, label: 1 as const }] };
    const before = (await first.image.predict(click)).masks[0]?.area;
    const { code } = await tools.failure(() => second.image.predict(click));
    let told = "nothing";
    void first.sam.lost.then((reason) => {
      told = reason.code;
    });
    const reason = (await second.sam.lost).code;
    const after = (await first.image.predict(click)).masks[0]?.area;
    await second.sam.reload();
    const again = (await second.image.predict(click)).masks[0]?.area;
    for (const { sam } of models) sam.dispose();
    return { code, reason, told, same: before === after, again: again === before };
  });
  expect(found).toEqual({
    code: "DEVICE_LOST",
    reason: "DEVICE_LOST",
    told: "nothing",
    same: true,
    again: true,
  });
});
