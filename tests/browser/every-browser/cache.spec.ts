// A model's file is kept in the browser's storage, found there by the next page, and deleted.
import type { APIRequestContext } from "@playwright/test";
import { expect, openTestPage, test } from "./fixtures.js";
import { support } from "./support.js";

const addressOf = (testId: string) => `/bad/good/micro.safetensors?${testId}`;

async function requestsOf(request: APIRequestContext, model: string): Promise<number> {
  const all: { url: string }[] = await (await request.get("/bad-requests")).json();
  return all.filter(({ url }) => url === model).length;
}

test("preloaded, loaded without a request, cleared", async ({ tab, name, request }, { testId }) => {
  const model = addressOf(testId);
  await openTestPage(tab);
  const kept = await tab.evaluate(async (model) => {
    const { Sam2, canvas, click } = window.tools;
    const before = await Sam2.isCached({ model });
    await Sam2.preload({ model });
    const cached = await Sam2.isCached({ model });
    const sam = await Sam2.load({ model, device: "cpu" });
    const { area } = await click(sam, await canvas());
    sam.dispose();
    // By the browser's own means, where it is. (Not every browser has `navigator.storage`.)
    const folder = await navigator.storage
      ?.getDirectory()
      .then((root) => root.getDirectoryHandle("sam2-web-weights"));
    const names = (folder as unknown as { keys(): AsyncIterator<string> } | undefined)?.keys();
    const entries = await (await caches.open("sam2-web-weights")).keys();
    const places = [...(names && !(await names.next()).done ? ["OPFS"] : [])];
    if (entries.length) places.push("Cache API");
    return { before, cached, area, places };
  }, model);
  expect(kept).toMatchObject({ before: false, cached: true, places: [support[name].cache] });
  expect(kept.area).toBeGreaterThan(0);
  expect(await requestsOf(request, model)).toBe(1);

  const cached = await tab.evaluate(async (model) => {
    const { Sam2 } = window.tools;
    await Sam2.clearCache();
    const cached = await Sam2.isCached({ model });
    (await Sam2.load({ model, device: "cpu" })).dispose();
    return cached;
  }, model);
  expect(cached).toBe(false);
  expect(await requestsOf(request, model)).toBe(2);
});

test("the next page finds it; in a private session at least what is said of it is true", async ({
  tab,
  name,
  request,
}, { testId }) => {
  const model = addressOf(testId);
  await openTestPage(tab);
  await tab.evaluate((model) => window.tools.Sam2.preload({ model }), model);
  await openTestPage(tab);
  const { before, code, after, notKept } = await tab.evaluate(async (model) => {
    const { Sam2, failure } = window.tools;
    const before = await Sam2.isCached({ model });
    const { code } = await failure(() => Sam2.preload({ model }));
    const after = await Sam2.isCached({ model });
    const sam = await Sam2.load({ model, cache: "auto", device: "cpu" });
    sam.dispose();
    return { before, code, after, notKept: sam.notKept?.code ?? "NONE" };
  }, model);
  // WebKit's private sessions may forget a page's files, and then not keep them although they say so.
  if (support[name].keeps) expect(before).toBe(true);
  const kept = before || after;
  expect({ code, after, notKept }).toEqual({
    code: kept ? "NONE" : "QUOTA_EXCEEDED",
    after: kept,
    notKept: kept ? "NONE" : "QUOTA_EXCEEDED",
  });
  expect(await requestsOf(request, model)).toBe(before ? 1 : kept ? 2 : 3);
});
