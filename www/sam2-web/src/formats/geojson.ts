import { Sam2Error } from "../errors.js";
import type { Polygon, Ring } from "../mask/types.js";
import { Mask } from "../mask.js";
import {
  checkMasks,
  givenSize,
  invalid,
  isId,
  isObject,
  type Label,
  type LabeledPicture,
  parsed,
  pointsOf,
  type ReadPicture,
  type Size,
} from "./labels.js";

/**
 * From pixels to the map: `x' = a x + b y + c` and `y' = d x + e y + f`, as rasterio's `transform` is. (GDAL's
 * `GetGeoTransform` has the same numbers as `[c, a, b, f, d, e]`.) Pixel (0, 0) begins at (c, f).
 */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

const PIXELS: Affine = [1, 0, 0, 0, 1, 0];

export interface GeoJsonFeature {
  type: "Feature";
  id?: number | string;
  geometry: { type: "MultiPolygon"; coordinates: [x: number, y: number][][][] } | null;
  properties: { category: string; crowd?: boolean; score?: number };
}

export interface GeoJsonFile {
  type: "FeatureCollection";
  features: GeoJsonFeature[];
}

/**
 * Reads GeoJSON, as text or parsed: a collection, a feature, or a bare geometry. Each feature is a label; its category is
 * the property `category`, `classification` (also QuPath's, which has a `name`), `class`, `label` or `name`, in this order.
 * Overlaps are filled by the even-odd rule, and a feature without a geometry is an empty mask.
 *
 * Points and lines, and rings of fewer than three points, are passed over, and told in `warnings`.
 *
 * @param options.transform - From pixels to the file's coordinates, as {@link writeGeoJson} takes it; default: pixels.
 * @throws {@link Sam2Error} `INVALID_LABELS` for what is no GeoJSON; `UNSUPPORTED_INPUT` without the picture's size, or for
 * a transform that has no inverse.
 */
export function readGeoJson(
  json: string | object,
  { transform = PIXELS, ...size }: Size & { transform?: Affine },
): ReadPicture {
  const { width, height } = givenSize(size, "readGeoJson");
  const toPixels = inverse(transform);
  const file = parsed(json, "GeoJSON");
  const features = featuresOf(file);
  const warnings: string[] = [];
  const labels: Label[] = [];
  for (const [index, feature] of features.entries()) {
    const passOver = (why: string) => warnings.push(`Feature number ${index + 1}: ${why}.`);
    if (!isObject(feature)) {
      passOver("it is no object");
      continue;
    }
    const polygons: Polygon[] = [];
    for (const coordinates of areasOf(feature.geometry, passOver)) {
      const rings = coordinates.flatMap((ring): Ring[] => {
        const points = pointsOf(ring)?.map((point) => apply(toPixels, point));
        if (points && points.length >= 3) return [points];
        passOver("a ring that is not three points or more is passed over");
        return [];
      });
      if (rings.length > 0) polygons.push(rings);
    }
    if (polygons.length === 0 && feature.geometry !== null) continue;
    const properties = isObject(feature.properties) ? feature.properties : {};
    const { score } = properties;
    const mask = Mask.fromPolygons(polygons, { width, height, crossing: "even-odd" });
    labels.push({
      mask,
      category: categoryOf(properties),
      ...(isId(feature.id) && { id: feature.id }),
      ...(properties.crowd === true && { crowd: true }),
      ...(typeof score === "number" && { score }),
    });
  }
  return { width, height, labels, warnings };
}

/**
 * A picture's labels as GeoJSON: a feature each, with its category as a property. Outlines go counterclockwise, as RFC 7946
 * asks for.
 *
 * @param options.transform - From pixels to the map, such as a GeoTIFF's. Default: coordinates are pixels, `y` downwards.
 * @param options.tolerance - In pixels, as of {@link Mask.toPolygons}. Default 0: exact.
 */
export function writeGeoJson(
  picture: LabeledPicture,
  { transform = PIXELS, tolerance = 0 }: { transform?: Affine; tolerance?: number } = {},
): GeoJsonFile {
  checkMasks(picture);
  inverse(transform); // refuses what cannot be read again
  const features = picture.labels.map(({ mask, category, id, crowd, score }): GeoJsonFeature => {
    const polygons = mask.toPolygons({ tolerance });
    const coordinates = polygons.map((rings) =>
      rings.map((ring, i) => {
        const points = ring.map((point) => apply(transform, point));
        if (turnsLeft(points) !== (i === 0)) points.reverse();
        return [...points, points[0] as [number, number]];
      }),
    );
    return {
      type: "Feature",
      ...(id !== undefined && { id }),
      geometry: coordinates.length ? { type: "MultiPolygon", coordinates } : null,
      properties: { category, ...(crowd && { crowd }), ...(score !== undefined && { score }) },
    };
  });
  return { type: "FeatureCollection", features };
}

function featuresOf(file: unknown): unknown[] {
  if (isObject(file)) {
    if (file.type === "FeatureCollection" && Array.isArray(file.features)) return file.features;
    if (file.type === "Feature") return [file];
    if (["Polygon", "MultiPolygon", "GeometryCollection"].includes(String(file.type)))
      return [{ type: "Feature", geometry: file, properties: {} }];
  }
  // QuPath also writes a bare list.
  if (Array.isArray(file)) return file.flatMap(featuresOf);
  throw invalid(
    "GeoJSON",
    'its type is none of "FeatureCollection", "Feature", "Polygon" and "MultiPolygon"',
  );
}

/** The rings of each polygon of a geometry. */
function areasOf(geometry: unknown, warn: (why: string) => void): unknown[][] {
  if (!isObject(geometry)) return [];
  const { type, coordinates, geometries } = geometry;
  if (type === "GeometryCollection" && Array.isArray(geometries))
    return geometries.flatMap((each) => areasOf(each, warn));
  const polygons = type === "Polygon" ? [coordinates] : type === "MultiPolygon" ? coordinates : undefined;
  if (Array.isArray(polygons) && polygons.every((rings) => Array.isArray(rings))) return polygons;
  warn(`its ${type} is no area, and passed over`);
  return [];
}

function categoryOf(properties: Record<string, unknown>): string {
  for (const key of ["category", "classification", "class", "label", "name"]) {
    const value = properties[key];
    const name = isObject(value) ? value.name : value;
    if (isId(name)) return String(name);
  }
  return "object";
}

function apply([a, b, c, d, e, f]: Affine, [x, y]: readonly [x: number, y: number]): [x: number, y: number] {
  return [a * x + b * y + c, d * x + e * y + f];
}

function inverse(transform: Affine): Affine {
  const valid = Array.isArray(transform) && transform.length === 6 && transform.every(Number.isFinite);
  const [a, b, c, d, e, f] = valid ? transform : PIXELS;
  const determinant = valid ? a * e - b * d : 0;
  if (determinant === 0) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "transform must be six numbers [a, b, c, d, e, f] that make an area of a pixel: " +
        "x' = a x + b y + c, y' = d x + e y + f.",
    );
  }
  return [
    e / determinant,
    -b / determinant,
    (b * f - c * e) / determinant,
    -d / determinant,
    a / determinant,
    (c * d - a * f) / determinant,
  ];
}

/** Counterclockwise where `y` goes upwards. */
function turnsLeft(ring: Ring): boolean {
  const [x0, y0] = ring[0] ?? [0, 0];
  let area = 0;
  for (const [i, [x, y]] of ring.entries()) {
    const [u, v] = ring[(i + 1) % ring.length] ?? [0, 0];
    area += (x - x0) * (v - y0) - (u - x0) * (y - y0);
  }
  return area > 0;
}
