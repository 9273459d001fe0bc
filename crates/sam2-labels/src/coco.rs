//! COCO JSON: data sets, lists of results, and SA-1B's file of a picture.

use std::collections::{HashMap, HashSet};

use sam2_predict::Rle;
use serde::Serialize;
use serde_json::Value;

use crate::coco_polygon::coco_polygon;
use crate::json::{Coordinate, Fields, checked_size, size_of};
use crate::mask::{area, bounding_box, of_runs, runs, to_polygons, union};
use crate::{Id, Label, LabeledPicture, LabelsError, Ring, Size};

/// A class of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Category {
    /// Its number or name in the file.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// A class of classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supercategory: Option<String>,
}

/// The pictures of a COCO file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CocoLabels {
    /// The pictures and their labels.
    pub pictures: Vec<LabeledPicture>,
    /// All of the file's, also those without objects.
    pub categories: Vec<Category>,
    /// What of the file was passed over, in words.
    pub warnings: Vec<String>,
}

/// A COCO data set, to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CocoFile {
    /// The pictures.
    pub images: Vec<CocoImage>,
    /// The classes.
    pub categories: Vec<Category>,
    /// The objects.
    pub annotations: Vec<Annotation>,
}

/// A picture of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CocoImage {
    /// Its number or name.
    pub id: Id,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// The name of its file.
    pub file_name: String,
}

/// An object of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Annotation {
    /// Its number or name.
    pub id: Id,
    /// Its picture's.
    pub image_id: Id,
    /// Its class's.
    pub category_id: Id,
    /// Its mask.
    pub segmentation: Segmentation,
    /// Pixels of the mask.
    pub area: usize,
    /// Left, top, width, height.
    pub bbox: [usize; 4],
    /// 1: many objects as one.
    pub iscrowd: u8,
    /// How sure a model was, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// A mask in one of COCO's forms.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Segmentation {
    /// Compressed run lengths.
    Rle {
        /// Height, then width.
        size: [usize; 2],
        /// Their text.
        counts: String,
    },
    /// Outlines, each as x, y, x, y, …
    Polygons(Vec<Vec<Coordinate>>),
}

/// Reads COCO JSON: a data set, a list of results, or a picture's file of SA-1B. Run lengths and polygons become the very
/// masks of pycocotools (polygons by its rounding, every second overlap left out). Where no pictures are named at all, as in
/// the records of `SAM2AutomaticMaskGenerator`, all masks are of one picture without a name.
///
/// What is no mask (boxes and key points alone, polygons of fewer than three points) is passed over with a warning.
/// `size_of_picture` is asked where neither the file nor its run lengths give a picture's size, by its `file_name`, the id of
/// one without, or nothing.
///
/// # Errors
/// The file is no such file, run lengths lie about their size, or a size is missing.
pub fn read_coco(
    file: &Value,
    size_of_picture: impl Fn(&str) -> Option<Size>,
) -> Result<CocoLabels, LabelsError> {
    // Results are a bare list.
    let annotations = if file.is_array() {
        Some(file)
    } else {
        file.get("annotations")
    };
    let Some(annotations) = annotations.and_then(Value::as_array) else {
        return Err(LabelsError::Format {
            format: "COCO",
            reason: "it has no list of annotations".into(),
        });
    };
    let mut warnings = Vec::new();
    let categories = read_categories(file.get("categories"));
    let names = Names::new(&categories);
    let mut pictures = Pictures::read(file, size_of_picture, &mut warnings)?;
    for (index, value) in annotations.iter().enumerate() {
        let id = value.get("id").and_then(Id::of);
        let label = match &id {
            Some(id) => format!("annotation {id}"),
            None => format!("annotation number {}", index + 1),
        };
        let pass_over = |why: &str| format!("{label} is passed over: {why}");
        let Some(annotation) = value.as_object() else {
            warnings.push(pass_over("it is no object"));
            continue;
        };
        let Some(picture) = pictures.of(annotation)? else {
            let named = annotation
                .get("image_id")
                .map_or("without a name".into(), Value::to_string);
            warnings.push(pass_over(&format!("there is no picture {named}")));
            continue;
        };
        let Some(mask) = read_segmentation(annotation, picture, &label, &mut warnings)? else {
            warnings.push(pass_over("it has no mask"));
            continue;
        };
        if let Some(size) = picture.size
            && size != Size::of(&mask)
        {
            warnings.push(pass_over(&format!(
                "its mask is {}x{} pixels, and its picture {}x{}",
                mask.width(),
                mask.height(),
                size.width(),
                size.height()
            )));
            continue;
        }
        let (category, category_id) = names.of(annotation.get("category_id"));
        let number = |name: &str| annotation.get(name).and_then(Value::as_f64);
        let crowd = annotation.get("iscrowd");
        picture.labels.push(Label {
            mask,
            category,
            id,
            category_id,
            crowd: crowd.is_some_and(|crowd| crowd.as_bool() == Some(true) || crowd.as_f64() > Some(0.0)),
            // Of a mask generator's records, the network's expectation.
            score: number("score").or(number("predicted_iou")),
        });
    }
    Ok(CocoLabels {
        pictures: pictures.into_labeled(&mut warnings),
        categories,
        warnings,
    })
}

/// A COCO data set. Ids of pictures and labels are kept where they are given and no two alike; others are numbered.
/// `categories` have the numbers of classes; those that are missing are numbered as they come.
///
/// Without `polygons` masks are run lengths, which are exact. With `Some(tolerance)` they are outlines as of
/// [`to_polygons`], but run lengths where a mask has holes, which COCO's polygons cannot have, or is empty or a crowd.
///
/// # Errors
/// A mask is not of its picture's size, or the tolerance is no distance.
pub fn write_coco(
    pictures: &[LabeledPicture],
    categories: &[Category],
    polygons: Option<f64>,
) -> Result<CocoFile, LabelsError> {
    let labels = || pictures.iter().flat_map(|picture| &picture.labels);
    let mut picture_ids = Ids::new(pictures.iter().filter_map(|picture| picture.id.as_ref()));
    let mut label_ids = Ids::new(labels().filter_map(|label| label.id.as_ref()));
    let mut category_ids = Ids::new(categories.iter().map(|category| &category.id));
    let mut all = categories.to_vec();
    let mut by_name: HashMap<String, Id> = HashMap::new();
    for Category { id, name, .. } in categories {
        by_name.insert(name.clone(), id.clone());
    }
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for picture in pictures {
        picture.check()?;
        let image_id = picture_ids.take(picture.id.as_ref());
        images.push(CocoImage {
            id: image_id.clone(),
            width: picture.size.width(),
            height: picture.size.height(),
            file_name: picture.file_name.clone().unwrap_or_default(),
        });
        for label in &picture.labels {
            let own = label.category_id.as_ref().filter(|id| {
                let same = |category: &Category| category.id == **id && category.name == label.category;
                categories.iter().any(same)
            });
            let category_id = match own.or(by_name.get(&label.category)) {
                Some(id) => id.clone(),
                None => {
                    let id = category_ids.take(None);
                    all.push(Category {
                        id: id.clone(),
                        name: label.category.clone(),
                        supercategory: None,
                    });
                    by_name.insert(label.category.clone(), id.clone());
                    id
                }
            };
            let bbox = bounding_box(&label.mask)
                .map_or([0; 4], |[x0, y0, x1, y1]| [x0, y0, x1 - x0 + 1, y1 - y0 + 1]);
            annotations.push(Annotation {
                id: label_ids.take(label.id.as_ref()),
                image_id: image_id.clone(),
                category_id,
                segmentation: segmentation(label, polygons)?,
                area: area(&label.mask),
                bbox,
                iscrowd: u8::from(label.crowd),
                score: label.score,
            });
        }
    }
    Ok(CocoFile {
        images,
        categories: all,
        annotations,
    })
}

fn segmentation(label: &Label, polygons: Option<f64>) -> Result<Segmentation, LabelsError> {
    let mask = &label.mask;
    if let Some(tolerance) = polygons.filter(|_| !label.crowd) {
        let outlines = to_polygons(mask, tolerance)?;
        if !outlines.is_empty() && outlines.iter().all(|rings| rings.len() == 1) {
            let flat = |ring: &Ring| ring.iter().flatten().map(|&value| Coordinate(value)).collect();
            return Ok(Segmentation::Polygons(
                outlines.iter().flatten().map(flat).collect(),
            ));
        }
    }
    Ok(Segmentation::Rle {
        size: [mask.height(), mask.width()],
        counts: mask.to_compressed(),
    })
}

/// Ids that are given stay, the first time; others are the next free number from 1.
struct Ids {
    given: HashSet<Id>,
    taken: HashSet<Id>,
    next: i64,
}

impl Ids {
    fn new<'a>(given: impl Iterator<Item = &'a Id>) -> Self {
        Self {
            given: given.cloned().collect(),
            taken: HashSet::new(),
            next: 1,
        }
    }

    fn take(&mut self, id: Option<&Id>) -> Id {
        if let Some(id) = id
            && self.taken.insert(id.clone())
        {
            return id.clone();
        }
        loop {
            let id = Id::from(self.next);
            self.next += 1;
            if !self.given.contains(&id) {
                return id;
            }
        }
    }
}

fn read_categories(list: Option<&Value>) -> Vec<Category> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let category = |category: &Value| {
        let id = category.get("id").and_then(Id::of)?;
        Some(Category {
            name: text(category.get("name")).unwrap_or_else(|| id.to_string()),
            supercategory: text(category.get("supercategory")),
            id,
        })
    };
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(category).collect()
}

/// The categories by their ids, which may be numbers in one place and text in another.
struct Names<'a> {
    by_id: HashMap<String, &'a Category>,
    twice: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn new(categories: &'a [Category]) -> Self {
        let mut seen = HashSet::new();
        let names = categories.iter().map(|category| category.name.as_str());
        Self {
            by_id: categories.iter().map(|c| (c.id.to_string(), c)).collect(),
            twice: names.filter(|name| !seen.insert(*name)).collect(),
        }
    }

    /// The name, and the id where it takes that to tell two of one name apart.
    fn of(&self, id: Option<&Value>) -> (String, Option<Id>) {
        let Some(id) = id.and_then(Id::of) else {
            return ("object".into(), None);
        };
        match self.by_id.get(&id.to_string()) {
            None => (id.to_string(), None),
            Some(Category { id, name, .. }) => (
                name.clone(),
                self.twice.contains(name.as_str()).then(|| id.clone()),
            ),
        }
    }
}

struct Picture {
    id: Option<Id>,
    file_name: Option<String>,
    size: Option<Size>,
    labels: Vec<Label>,
}

impl Picture {
    fn name(&self) -> Option<String> {
        self.file_name.clone().or(self.id.as_ref().map(Id::to_string))
    }
}

/// The pictures of a file.
struct Pictures<F> {
    all: Vec<Picture>,
    by_id: HashMap<String, usize>,
    /// Whether the file says which there are. Else they are those that annotations name.
    listed: bool,
    size_of_picture: F,
}

impl<F: Fn(&str) -> Option<Size>> Pictures<F> {
    fn read(file: &Value, size_of_picture: F, warnings: &mut Vec<String>) -> Result<Self, LabelsError> {
        let list = match (file.get("images").and_then(Value::as_array), file.get("image")) {
            (Some(images), _) => images.as_slice(),
            (None, Some(image)) => std::slice::from_ref(image),
            (None, None) => &[],
        };
        let mut pictures = Self {
            all: Vec::new(),
            by_id: HashMap::new(),
            listed: !list.is_empty(),
            size_of_picture,
        };
        for entry in list {
            let id = entry.get("id").filter(|id| !id.is_null());
            match id.or(entry.get("image_id")).and_then(Id::of) {
                Some(id) => _ = pictures.add(Some(id), Some(entry))?,
                None => warnings.push("a picture without an id is passed over".into()),
            }
        }
        Ok(pictures)
    }

    /// An annotation's.
    fn of(&mut self, annotation: &Fields) -> Result<Option<&mut Picture>, LabelsError> {
        let id = annotation.get("image_id").and_then(Id::of);
        let known = match &id {
            Some(id) => self.by_id.get(&id.to_string()).copied(),
            // A file of one picture need not name it.
            None if self.listed => (self.all.len() == 1).then_some(0),
            None => self.by_id.get("").copied(),
        };
        let index = match known {
            Some(index) => index,
            None if self.listed => return Ok(None),
            None => self.add(id, None)?,
        };
        let picture = &mut self.all[index];
        if picture.size.is_none() {
            picture.size = match rle_size(annotation.get("segmentation")) {
                Some([height, width]) => size_of(Some(width), Some(height))?,
                None => (self.size_of_picture)(&picture.name().unwrap_or_default()),
            };
        }
        Ok(Some(picture))
    }

    fn add(&mut self, id: Option<Id>, entry: Option<&Value>) -> Result<usize, LabelsError> {
        let field = |name| entry.and_then(|entry| entry.get(name));
        let picture = Picture {
            file_name: field("file_name")
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            size: size_of(field("width"), field("height"))?,
            labels: Vec::new(),
            id,
        };
        let key = picture.id.as_ref().map(Id::to_string).unwrap_or_default();
        self.by_id.insert(key, self.all.len());
        self.all.push(picture);
        Ok(self.all.len() - 1)
    }

    /// Those that have a size.
    fn into_labeled(self, warnings: &mut Vec<String>) -> Vec<LabeledPicture> {
        let mut labeled = Vec::new();
        for picture in self.all {
            let ask = || (self.size_of_picture)(&picture.name().unwrap_or_default());
            match picture.size.or_else(ask) {
                Some(size) => labeled.push(LabeledPicture {
                    size,
                    labels: picture.labels,
                    file_name: picture.file_name,
                    id: picture.id,
                }),
                None => warnings.push(format!(
                    "picture {} is passed over: it has no size, and no labels",
                    picture.name().unwrap_or_default()
                )),
            }
        }
        labeled
    }
}

/// Height and width of a mask's run lengths.
fn rle_size(segmentation: Option<&Value>) -> Option<[&Value; 2]> {
    let size = segmentation?.get("size")?.as_array()?;
    size.iter().collect::<Vec<_>>().try_into().ok()
}

/// None where it is no mask.
fn read_segmentation(
    annotation: &Fields,
    picture: &Picture,
    label: &str,
    warnings: &mut Vec<String>,
) -> Result<Option<Rle>, LabelsError> {
    let list = match annotation.get("segmentation") {
        Some(rle @ Value::Object(_)) => return read_rle(rle, label).map(Some),
        Some(Value::Array(list)) => list,
        _ => return Ok(None),
    };
    // One polygon need not be in a list of its own.
    let lists: Vec<Option<&[Value]>> = match list.iter().all(Value::is_number) {
        true => vec![Some(list)],
        false => list
            .iter()
            .map(|list| list.as_array().map(Vec::as_slice))
            .collect(),
    };
    let mut rings = Vec::new();
    for list in lists {
        match list.and_then(ring_of) {
            Some(ring) => rings.push(ring),
            None if list.is_some_and(<[Value]>::is_empty) => {}
            None => warnings.push(format!(
                "{label}: a polygon that is not three points or more is passed over"
            )),
        }
    }
    if rings.is_empty() {
        return Ok(None);
    }
    let size = picture.size.ok_or_else(|| LabelsError::NoSize {
        picture: picture.name(),
    })?;
    let masks = rings.iter().map(|ring| coco_polygon(ring, size, label));
    let masks = masks.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(union(&masks.iter().collect::<Vec<_>>())))
}

/// Of x, y, x, y, …, three points or more.
fn ring_of(list: &[Value]) -> Option<Ring> {
    let values: Vec<f64> = list.iter().map(Value::as_f64).collect::<Option<_>>()?;
    let (points, rest) = values.as_chunks::<2>();
    (points.len() >= 3 && rest.is_empty()).then(|| points.to_vec())
}

/// Run lengths, compressed (text) or not (numbers).
fn read_rle(rle: &Value, label: &str) -> Result<Rle, LabelsError> {
    let wrong = |reason: String| LabelsError::Mask {
        label: label.into(),
        reason,
    };
    let side = |side: &Value| {
        let whole = side.as_f64().filter(|side| *side >= 1.0 && side.fract() == 0.0);
        whole.map(|side| side as u64)
    };
    let size = rle_size(Some(rle)).and_then(|[height, width]| Some([side(height)?, side(width)?]));
    let [height, width] = size.ok_or_else(|| {
        wrong("the size of run lengths is [height, width], two whole numbers from 1".into())
    })?;
    let size = checked_size(&format!("the mask of {label}"), width, height)?;
    let (width, height) = (size.width(), size.height());
    let mask = match rle.get("counts") {
        Some(Value::String(text)) => Rle::from_compressed(text, width, height),
        Some(Value::Array(counts)) => {
            let length = |count: &Value| {
                let whole = count
                    .as_f64()
                    .filter(|count| *count >= 0.0 && count.fract() == 0.0);
                let fits = whole.filter(|count| *count <= f64::from(u32::MAX));
                fits.map(|count| count as u32)
                    .ok_or_else(|| wrong(format!("the length of a run of its mask is {count}")))
            };
            Rle::new(
                width,
                height,
                counts.iter().map(length).collect::<Result<_, _>>()?,
            )
        }
        _ => {
            return Err(wrong(
                "the counts of run lengths are COCO's text, or a list of numbers".into(),
            ));
        }
    };
    let mask = mask.map_err(|error| LabelsError::Rle {
        label: label.into(),
        error,
    })?;
    // Without runs of no length.
    Ok(of_runs(size, runs(&mask).collect()))
}
