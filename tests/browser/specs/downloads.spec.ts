// Downloads in a real browser, whose storage, cuts and ranges no unit test has.
import { expect, openTestPage, test } from "../support.js";

/** A new address at each call, and what has been asked of it. */
function addresses(testId: string) {
  let count = 0;
  return (way: string) => `/bad/${way}/micro.safetensors?${testId}-${count++}`;
}

for (const cache of ["opfs", "cache-api"] as const) {
  test(`a cut download goes on in the next page, is kept once it has loaded, and cleared: ${cache}`, async ({
    page,
    request,
  }, { testId }) => {
    const url = addresses(testId)("cuts-until-told");
    const asked = async () => {
      const all: { url: string; range?: string }[] = await (await request.get("/bad-requests")).json();
      return all.filter((one) => one.url === url).map(({ range }) => range ?? "");
    };
    await openTestPage(page);
    const first = await page.evaluate(
      async ([url, cache]) => {
        const { Sam2, failure } = window.tools;
        const { code } = await failure(() => Sam2.load({ model: url, cache, device: "cpu" }));
        return { code, cached: await Sam2.isCached({ model: url }) };
      },
      [url, cache] as const,
    );
    expect(first).toEqual({ code: "NETWORK", cached: false });
    const before = await asked();
    expect(before[0]).toBe("");

    await request.get(url.replace("cuts-until-told", "behave"));
    await page.reload();
    await page.waitForFunction(() => window.tools);
    const second = await page.evaluate(
      async ([url, cache]) => {
        const { Sam2, canvas, click } = window.tools;
        const sam = await Sam2.load({ model: url, cache, device: "cpu" });
        const { area } = await click(sam, await canvas());
        sam.dispose();
        const listed = (await Sam2.listCached()).filter((kept) => kept.url.endsWith(url));
        const again = await Sam2.load({ model: url, device: "cpu" });
        const same = (await click(again, await canvas())).area === area;
        again.dispose();
        await Sam2.clearCache({ model: url });
        const left = (await Sam2.listCached()).filter((kept) => kept.url.endsWith(url)).length;
        return { area, notKept: sam.notKept, listed: listed.map(({ bytes }) => bytes), same, left };
      },
      [url, cache] as const,
    );
    expect(second.area).toBeGreaterThan(0);
    expect(second).toMatchObject({ same: true, left: 0 });
    expect(second.notKept).toBeUndefined();
    expect(second.listed[0]).toBeGreaterThan(2 << 20);
    // One request for what had not been kept, and none for the second model.
    expect((await asked()).slice(before.length)).toEqual([`bytes=${2 << 20}-`]);
  });
}

test("servers that misbehave", async ({ page }, { testId }) => {
  const address = addresses(testId);
  await openTestPage(page);
  const ways = [
    "good",
    "cuts",
    "cuts-without-ranges",
    "cuts-and-changes",
    "cuts-and-forgets",
    "wrong-piece",
    "too-far",
    "redirects",
    "forgets-length",
    "is-busy",
    "redirects-for-ever",
    "corrupts-at-the-start",
    "start-page",
    "pointer",
    "403",
    "404",
    "416",
  ];
  const found: Record<string, string> = {};
  for (const way of ways) {
    found[way] = await page.evaluate(async (url) => {
      const { Sam2, failure } = window.tools;
      const { code } = await failure(async () =>
        (await Sam2.load({ model: url, device: "cpu", cache: "auto" })).dispose(),
      );
      const kept = await Sam2.isCached({ model: url });
      await Sam2.clearCache();
      return `${code}${kept ? ", kept" : ""}`;
    }, address(way));
  }
  const good = ways.slice(0, 10).map((way) => [way, "NONE, kept"]);
  expect(found).toEqual({
    ...Object.fromEntries(good),
    "redirects-for-ever": "NETWORK",
    "corrupts-at-the-start": "WEIGHTS_UNSUPPORTED",
    "start-page": "NETWORK",
    pointer: "WEIGHTS_UNSUPPORTED",
    "403": "NETWORK",
    "404": "NETWORK",
    "416": "NETWORK",
  });
});

test("nano is checked by its hash, and preloaded it needs no request", async ({ page, context }) => {
  await openTestPage(page);
  const nano = await page.evaluate(async () => {
    const { Sam2 } = window.tools;
    await Sam2.preload();
    const listed = await Sam2.listCached();
    return { cached: await Sam2.isCached(), listed: listed.map(({ url }) => url) };
  });
  expect(nano).toEqual({ cached: true, listed: [expect.stringMatching(/nano.*\.safetensors$/)] });
  await context.route(/nano.*\.safetensors$/, (route) => route.abort());
  const { name, damaged } = await page.evaluate(async () => {
    const { Sam2, failure } = window.tools;
    const sam = await Sam2.load({ device: "cpu" });
    const { name } = sam.model;
    sam.dispose();
    await Sam2.clearCache();
    const damaged = await failure(() => Sam2.load({ device: "cpu" }));
    return { name, damaged: damaged.code };
  });
  expect({ name, damaged }).toEqual({ name: "nano", damaged: "NETWORK" });
  await context.unroute(/nano.*\.safetensors$/);
  await context.route(/nano.*\.safetensors$/, async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
    await route.fulfill({ response, body });
  });
  const { code, message } = await page.evaluate(() =>
    window.tools.failure(() => window.tools.Sam2.load({ device: "cpu" })),
  );
  expect({ code, message }).toEqual({ code: "WEIGHTS_CORRUPT", message: expect.stringMatching(/SHA-256/) });
});
