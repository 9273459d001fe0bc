// <sam2-picture>, as a page uses it.
import { expect, openTestPage, test } from "../support.js";

test.beforeEach(({ page }) => openTestPage(page));

test("clicks in it select an object, and can be taken back", async ({ page }) => {
  await page.evaluate(async () => {
    const element = document.createElement("sam2-picture");
    element.setAttribute("src", "/samples/clock.jpg");
    element.setAttribute("alt", "A clock");
    element.setAttribute("device", "cpu");
    const steps: string[] = [];
    element.addEventListener("loading", ({ detail }) => steps.push(detail.phase));
    const ready = new Promise((resolve, reject) => {
      element.addEventListener("ready", resolve);
      element.addEventListener("failed", ({ detail }) => reject(detail.error));
    });
    document.body.append(element);
    await ready;
    if (!steps.includes("ready")) throw new Error(`steps: ${steps}`);
  });
  const element = page.locator("sam2-picture");
  const picture = page.getByRole("img", { name: "A clock" });
  const box = await picture.boundingBox();
  if (!box) throw new Error("it is not shown");
  const answered = () =>
    element.evaluate(
      (element) =>
        new Promise<{ area: number | undefined; points: { label: number }[] }>((resolve) =>
          element.addEventListener(
            "mask",
            (event) => {
              const { mask, points } = (event as CustomEvent).detail;
              resolve({ area: mask?.area, points });
            },
            { once: true },
          ),
        ),
    );
  const painted = () =>
    element.evaluate((element) => {
      const overlay = element.shadowRoot?.querySelector<HTMLCanvasElement>('[part="mask"]');
      const data = overlay?.getContext("2d")?.getImageData(0, 0, overlay.width, overlay.height).data;
      return data?.reduce((sum, value, i) => sum + Number(i % 4 === 3 && value > 0), 0);
    });

  let answer = answered();
  await picture.click({ position: { x: box.width * 0.5, y: box.height * 0.5 } });
  const first = await answer;
  expect(first.area).toBeGreaterThan(100);
  expect(first.points).toMatchObject([{ label: 1 }]);
  expect(await painted()).toBe(first.area);

  answer = answered();
  await picture.click({ position: { x: box.width * 0.1, y: box.height * 0.1 }, modifiers: ["Alt"] });
  const second = await answer;
  expect(second.points).toMatchObject([{ label: 1 }, { label: 0 }]);

  answer = answered();
  await element.evaluate((element) => (element as HTMLElementTagNameMap["sam2-picture"]).undo());
  expect((await answer).area).toBe(first.area);
  answer = answered();
  await element.evaluate((element) => (element as HTMLElementTagNameMap["sam2-picture"]).clear());
  expect(await answer).toEqual({ area: undefined, points: [] });
  expect(await painted()).toBe(0);
});

test("elements share a model, which goes with the last of them", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { failure } = window.tools;
    const make = async (src: string) => {
      const element = document.createElement("sam2-picture");
      element.setAttribute("src", src);
      element.setAttribute("device", "cpu");
      const ready = new Promise<CustomEvent>((resolve) => {
        element.addEventListener("ready", (event) => resolve(event as CustomEvent));
      });
      document.body.append(element);
      return { element, ...(await ready).detail };
    };
    const [a, b] = await Promise.all([make("/samples/clock.jpg"), make("/samples/shorts.jpg")]);
    const same = a.sam === b.sam;
    a.element.remove();
    const click = { points: [{ x: 10, y: 10, label: 1 as const }] };
    const gone = await failure(() => a.image.predict(click));
    const stays = (await b.image.predict(click)).masks.length;
    b.element.remove();
    const last = await failure(() => b.sam.setImage(new ImageData(8, 8)));
    return { same, gone: gone.code, stays, last: last.code };
  });
  expect(found).toEqual({ same: true, gone: "DISPOSED", stays: 3, last: "DISPOSED" });
});

test("what it cannot show is an event with a typed error", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { Sam2Error } = window.tools;
    const fail = async (attributes: Record<string, string>) => {
      const element = document.createElement("sam2-picture");
      for (const [name, value] of Object.entries({ device: "cpu", ...attributes }))
        element.setAttribute(name, value);
      const failed = new Promise<Error>((resolve) => {
        element.addEventListener("failed", ({ detail }) => resolve(detail.error));
      });
      document.body.append(element);
      const error = await failed;
      element.remove();
      return error instanceof Sam2Error ? error.code : `not typed: ${error}`;
    };
    return {
      missing: await fail({ src: "/no-such-picture.jpg" }),
      text: await fail({ src: "/page/index.html" }),
      model: await fail({ src: "/samples/clock.jpg", model: "/samples/shorts.jpg" }),
      device: await fail({ src: "/samples/clock.jpg", device: "abacus" }),
    };
  });
  expect(found).toEqual({
    missing: "NETWORK",
    text: "INVALID_IMAGE",
    model: expect.stringContaining("WEIGHTS_"),
    device: "UNSUPPORTED_INPUT",
  });
});
