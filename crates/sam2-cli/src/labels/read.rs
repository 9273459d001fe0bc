//! Reads label files, of one picture or many.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sam2_labels::{
    Affine, Category, Classes, CocoLabels, Id, LabeledPicture, LabelsError, PIXELS, ReadPicture, Size,
    VOC_BORDER, area, parse_json, read_coco, read_geojson, read_indexed_png, read_labelme, read_yolo,
};
use serde_json::Value;

use super::format::has_yolo_lines;
use super::pictures::Found;
use super::{Format, Pictures, classes, inner_path, warn};
use crate::load;
use crate::output::note;
use crate::picture::upright_size_in;

/// The pictures of label files, and their classes.
#[derive(Debug, Default)]
pub struct DataSet {
    pub pictures: Vec<LabeledPicture>,
    pub categories: Vec<Category>,
}

/// Where labels are, and what their files do not say.
pub struct Source<'a> {
    /// A file, or a folder of files.
    pub path: &'a Path,
    /// Recognised by contents where it is not given.
    pub format: Option<Format>,
    pub pictures: &'a Pictures,
    /// A file with the names of classes.
    pub classes: Option<&'a Path>,
    /// From pixels to the coordinates of GeoJSON.
    pub transform: Option<Affine>,
    /// Whether 255 in an indexed PNG is a label like any other.
    pub no_border: bool,
}

impl Source<'_> {
    /// Reads all files. What of them is no label is passed over with a warning on standard error.
    ///
    /// # Errors
    /// A file is damaged or of another format, or a picture's size is not known.
    pub fn read(&self) -> Result<DataSet> {
        let is_folder = self.path.is_dir();
        let files = match is_folder {
            true => load::files_below(self.path)?,
            false => vec![self.path.to_owned()],
        };
        let format = match self.format {
            Some(format) => format,
            None => self.recognise(&files, is_folder)?,
        };
        let is_for = |option: &str, other: Format| {
            format!(
                "{option} is for {}, and {} has labels of {}",
                other.name(),
                self.path.display(),
                format.name()
            )
        };
        ensure!(
            format == Format::GeoJson || self.transform.is_none(),
            is_for("--transform", Format::GeoJson)
        );
        ensure!(
            format == Format::Png || !self.no_border,
            is_for("--no-border", Format::Png)
        );
        let classes = self.classes(format)?;
        let folder = match is_folder {
            true => self.path,
            false => self.path.parent().unwrap_or(Path::new("")),
        };
        let mut data_set = DataSet {
            categories: categories(format, &classes),
            pictures: Vec::new(),
        };
        let mut count = 0;
        for file in files {
            if is_folder && (!has_ending(&file, format) || classes::is_usual(&file)) {
                continue;
            }
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            if is_folder && !self.is_one(format, &file, &bytes)? {
                warn(
                    &file,
                    &[format!(
                        "it is passed over: it has no labels of {}",
                        format.name()
                    )],
                );
                continue;
            }
            let inner = file.strip_prefix(folder).unwrap_or(&file);
            let reading = Reading {
                source: self,
                classes: &classes,
                name: load::with_slashes(&inner.with_extension("")),
                file_name: load::with_slashes(inner),
            };
            reading
                .read(format, &bytes, &file, &mut data_set)
                .with_context(|| file.display().to_string())?;
            count += 1;
        }
        ensure!(
            count > 0,
            "{} has no label files of {} in it (.{})",
            self.path.display(),
            format.name(),
            format.endings().join(", .")
        );
        Ok(data_set)
    }

    /// The format of the first file with labels: JSON before text before PNG, since pictures are PNGs too.
    fn recognise(&self, files: &[PathBuf], is_folder: bool) -> Result<Format> {
        let format_of = |file: &Path| -> Result<Option<Format>> {
            let name = || file.display().to_string();
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", name()))?;
            Format::of(&bytes).with_context(name)
        };
        if !is_folder {
            return format_of(self.path)?.with_context(|| {
                format!(
                    "{} has no labels of COCO, YOLO, labelme, indexed PNG or GeoJSON: if it should, give its format by --from",
                    self.path.display()
                )
            });
        }
        for endings in [&["json", "geojson"][..], &["txt"], &["png"]] {
            let with_ending = files.iter().filter(|file| {
                let ending = file.extension().unwrap_or_default().to_ascii_lowercase();
                endings.iter().any(|known| ending == *known) && !classes::is_usual(file)
            });
            for file in with_ending {
                if let Some(format) = format_of(file)? {
                    return Ok(format);
                }
            }
        }
        bail!(
            "{} has no label files in it: COCO, labelme or GeoJSON (.json, .geojson), YOLO (.txt) or indexed PNG (.png)",
            self.path.display()
        )
    }

    /// Whether a file of a folder has labels of the format. One that is damaged is an error, and so is one that has others,
    /// unless it is said which are meant.
    fn is_one(&self, format: Format, file: &Path, bytes: &[u8]) -> Result<bool> {
        match format {
            Format::Png => Ok(true),
            Format::Yolo => Ok(has_yolo_lines(bytes) != Some(false)),
            Format::Coco | Format::Labelme | Format::GeoJson => {
                let json = parse_json(bytes, format.name()).with_context(|| file.display().to_string())?;
                match Format::of_json(&json) {
                    Some(other) if other != format && self.format.is_none() => bail!(
                        "{} has labels of {}, and other files in {} of {}: say which are meant by --from, or give one file",
                        file.display(),
                        other.name(),
                        self.path.display(),
                        format.name()
                    ),
                    found => Ok(found == Some(format)),
                }
            }
        }
    }

    fn classes(&self, format: Format) -> Result<Classes> {
        if let Some(path) = self.classes {
            return classes::read(path);
        }
        let folder = match self.path.is_dir() {
            true => self.path,
            false => self.path.parent().unwrap_or(Path::new("")),
        };
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        match classes::find(folder).filter(|_| format == Format::Yolo) {
            Some(path) => {
                let classes = classes::read(&path)?;
                note!("sam2: the names of the classes are from {}", path.display());
                Ok(classes)
            }
            None => Ok(Classes::new()),
        }
    }
}

fn has_ending(file: &Path, format: Format) -> bool {
    let ending = file.extension().unwrap_or_default().to_ascii_lowercase();
    format.endings().iter().any(|known| ending == *known)
}

/// Classes with COCO's numbers, which are from 1 where those of classes are from 0. In an indexed PNG, 0 is no label.
fn categories(format: Format, classes: &Classes) -> Vec<Category> {
    let first = i64::from(format != Format::Png);
    let category = |(number, name): (&usize, &String)| Category {
        id: Id::from(*number as i64 + first),
        name: name.clone(),
        supercategory: None,
    };
    classes.iter().map(category).collect()
}

/// One file.
struct Reading<'a> {
    source: &'a Source<'a>,
    classes: &'a Classes,
    /// The file's path in its folder without its ending, which is its picture's.
    name: String,
    /// With its ending.
    file_name: String,
}

impl Reading<'_> {
    fn read(&self, format: Format, bytes: &[u8], path: &Path, data_set: &mut DataSet) -> Result<()> {
        let json = || parse_json(bytes, format.name());
        let (picture, warnings) = match format {
            Format::Coco => return self.read_coco(&json()?, path, data_set),
            Format::Labelme => self.read_labelme(&json()?)?,
            Format::Png => {
                let ignored = if self.source.no_border {
                    &[][..]
                } else {
                    &[VOC_BORDER]
                };
                let ReadPicture {
                    picture,
                    mut warnings,
                } = read_indexed_png(bytes, self.classes, ignored)?;
                if let Some(warning) = warnings.first_mut() {
                    *warning += ": give --no-border to have it as a label";
                }
                let found = self.found(&self.name);
                let file_name = found.map_or(&self.file_name, |found| &found.name);
                (named(picture, file_name.clone()), warnings)
            }
            Format::Yolo => {
                let (size, name) = self.size()?;
                let ReadPicture { picture, warnings } =
                    read_yolo(&String::from_utf8_lossy(bytes), size, self.classes)?;
                (named(picture, name), warnings)
            }
            Format::GeoJson => {
                let (size, name) = self.size()?;
                let transform = self.source.transform.unwrap_or(PIXELS);
                let ReadPicture { picture, warnings } = read_geojson(&json()?, size, transform)?;
                (named(picture, name), warnings)
            }
        };
        warn(path, &warnings);
        warn_if_outside(path, &picture);
        data_set.pictures.push(picture);
        Ok(())
    }

    /// The picture of the file's name, or the only one.
    fn found(&self, name: &str) -> Option<&Found> {
        let is_file = !self.source.path.is_dir();
        let single = self.source.pictures.single().filter(|_| is_file);
        single.or_else(|| self.source.pictures.find(name))
    }

    /// The size of the file's picture, which the file does not say, and the picture's name.
    fn size(&self) -> Result<(Size, String)> {
        let found = self.found(&self.name).with_context(|| {
            format!(
                "the size of its picture is not in the file: give --images with a picture named {}",
                self.name
            )
        })?;
        Ok((found.size()?, found.name.clone()))
    }

    fn read_labelme(&self, json: &Value) -> Result<(LabeledPicture, Vec<String>)> {
        let said = json.get("imagePath").and_then(Value::as_str).map(inner_path);
        let said = said.map(|path| load::with_slashes(&path));
        let said = said.filter(|name| !name.is_empty());
        let found = said.as_deref().and_then(|name| self.found(name));
        let found = found.or_else(|| self.found(&self.name));
        let embedded = |bytes: &[u8]| {
            let [width, height] = upright_size_in(Cursor::new(bytes)).ok()?;
            Size::new(width, height).ok()
        };
        let ReadPicture { picture, warnings } = match (read_labelme(json, embedded, None), found) {
            // Only then is the picture's file looked at.
            (Err(LabelsError::NoSize { .. }), Some(found)) => {
                read_labelme(json, embedded, Some(found.size()?))?
            }
            (Err(error @ LabelsError::NoSize { .. }), None) => {
                Err(error).context("give --images with the picture")?
            }
            (read, _) => read?,
        };
        let name = found.map(|found| found.name.clone()).or(said);
        Ok((
            named(picture, name.unwrap_or_else(|| self.name.clone())),
            warnings,
        ))
    }

    fn read_coco(&self, json: &Value, path: &Path, data_set: &mut DataSet) -> Result<()> {
        let pictures = self.source.pictures;
        let find = |name: &str| match name {
            "" => pictures.single(),
            name => pictures.find(name),
        };
        let unread = RefCell::new(None);
        let size = |name: &str| {
            find(name)?
                .size()
                .map_err(|error| unread.replace(Some(error)))
                .ok()
        };
        let read = read_coco(json, size);
        if let Some(error) = unread.take() {
            return Err(error);
        }
        let CocoLabels {
            pictures: read,
            categories,
            warnings,
        } = match read {
            Err(error @ LabelsError::NoSize { .. }) => {
                Err(error).context("give --images with the picture")?
            }
            read => read?,
        };
        warn(path, &warnings);
        for mut picture in read {
            if picture.file_name.is_none() {
                let id = picture.id.as_ref().map(Id::to_string);
                if let Some(found) = find(id.as_deref().unwrap_or_default()) {
                    check_size(&picture, found)?;
                    picture.file_name = Some(found.name.clone());
                }
            }
            warn_if_outside(path, &picture);
            data_set.pictures.push(picture);
        }
        data_set.add_categories(categories);
        Ok(())
    }
}

impl DataSet {
    /// The categories numbered from 0 in their order, and then those that only labels have.
    pub fn classes(&self) -> Classes {
        let labels = self.pictures.iter().flat_map(|picture| &picture.labels);
        let used = labels.map(|label| &label.category);
        let mut seen = HashSet::new();
        let all = self.categories.iter().map(|category| &category.name).chain(used);
        let names = all.filter(|name| seen.insert(name.as_str())).cloned();
        names.enumerate().collect()
    }

    /// Those of one more file, which may have other numbers for the same names.
    fn add_categories(&mut self, categories: Vec<Category>) {
        let is_first = self.categories.is_empty();
        for category in categories {
            let has = |same: &dyn Fn(&Category) -> bool| self.categories.iter().any(same);
            let same_name = has(&|known| known.name == category.name);
            let same_id = has(&|known| known.id == category.id);
            if is_first || (!same_name && !same_id) {
                self.categories.push(category);
            } else if !same_name {
                let id = (1..).map(Id::from).find(|id| !has(&|known| known.id == *id));
                self.categories.extend(id.map(|id| Category { id, ..category }));
            }
        }
    }
}

/// # Errors
/// The masks are of a picture of another size, so of another picture.
fn check_size(labeled: &LabeledPicture, found: &Found) -> Result<()> {
    let (size, found_size) = (labeled.size, found.size()?);
    ensure!(
        size == found_size,
        "its masks are {}x{} pixels, and the picture {} is {}x{}",
        size.width(),
        size.height(),
        found.path.display(),
        found_size.width(),
        found_size.height()
    );
    Ok(())
}

fn named(mut picture: LabeledPicture, file_name: String) -> LabeledPicture {
    picture.file_name = Some(file_name);
    picture
}

/// Labels that all lie outside of their picture are of another one, or their coordinates mean something else.
fn warn_if_outside(path: &Path, picture: &LabeledPicture) {
    if !picture.labels.is_empty() && picture.labels.iter().all(|label| area(&label.mask) == 0) {
        let name = picture.file_name.as_deref().unwrap_or("the picture");
        warn(
            path,
            &[format!("all of its labels are empty, or lie outside of {name}")],
        );
    }
}
