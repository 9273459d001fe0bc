//! `sam2 export` writes labels in the formats of other tools.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sam2_labels::{
    Affine, Classes, LabeledPicture, PIXELS, area, write_coco, write_geojson, write_indexed_png,
    write_labelme, write_yolo,
};

use crate::labels::{
    DataSet, Format, Pictures, Source, classes_to_yaml, parse_transform, read_classes, stem_of,
};
use crate::output::{note, say};

/// Arguments of `sam2 export`.
#[derive(clap::Args)]
pub struct Args {
    /// The labels: what `sam2 everything` or `sam2 import` wrote, or another COCO JSON; or a folder of such files
    #[arg(long, value_name = "FILE.json|DIR")]
    labels: PathBuf,
    /// The format to write
    #[arg(long, value_enum)]
    to: Format,
    /// The pictures of the labels, or the one picture: for the names and sizes that the labels do not have, as those of
    /// `sam2 everything`, which have no name
    #[arg(long, value_name = "DIR|FILE")]
    images: Option<PathBuf>,
    /// With --to yolo, the numbers of the classes: a data set's YAML, or a text file with a name in each line. By default
    /// the categories are numbered from 0 in the order of the labels' file
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// How far outlines may be from the mask, in pixels; under 0.5 they are exact, and at 1 they have far fewer points
    #[arg(long, value_name = "PX", default_value_t = 0.0, allow_hyphen_values = true)]
    tolerance: f64,
    /// With --to coco, outlines instead of run lengths, except of masks with holes and of crowds
    #[arg(long)]
    polygons: bool,
    /// With --to geojson, from pixels to the map: x' = A x + B y + C, y' = D x + E y + F, as rasterio has it; by default
    /// coordinates are pixels
    #[arg(long, value_name = "A,B,C,D,E,F", value_parser = parse_transform, allow_hyphen_values = true)]
    transform: Option<Affine>,
    /// COCO: the file to write. Others: the folder for a file for each picture, which has the picture's name, and with
    /// --to yolo for data.yaml with the classes; or, of a single picture, its file
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
}

/// Runs `sam2 export`.
///
/// # Errors
/// Bad input. The message says which file or argument, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    ensure!(
        args.to == Format::GeoJson || args.transform.is_none(),
        "--transform is for --to geojson"
    );
    ensure!(
        args.to == Format::Coco || !args.polygons,
        "--polygons is for --to coco: the other formats have outlines, or none, by themselves"
    );
    let has_outlines = args.polygons || !matches!(args.to, Format::Coco | Format::Png);
    ensure!(
        has_outlines || args.tolerance == 0.0,
        "--tolerance is for outlines, which this format does not have (--to coco has them with --polygons)"
    );
    ensure!(
        args.to == Format::Yolo || args.classes.is_none(),
        "--classes is for --to yolo: the other formats have the categories' names"
    );
    let pictures = Pictures::given(args.images.as_deref())?;
    let data_set = Source {
        path: &args.labels,
        format: Some(Format::Coco),
        pictures: &pictures,
        classes: None,
        transform: None,
        no_border: false,
    }
    .read()?;
    let labels: usize = data_set.pictures.iter().map(|picture| picture.labels.len()).sum();
    if args.to == Format::Coco {
        let polygons = args.polygons.then_some(args.tolerance);
        let file = write_coco(&data_set.pictures, &data_set.categories, polygons)?;
        write(&args.out, &serde_json::to_vec(&file)?)?;
    } else {
        args.write_each(&data_set)?;
    }
    say!(
        "{}  pictures {}  labels {labels}",
        args.out.display(),
        data_set.pictures.len()
    )
}

impl Args {
    /// A file for each picture.
    fn write_each(&self, data_set: &DataSet) -> Result<()> {
        let classes = match &self.classes {
            _ if self.to != Format::Yolo => Classes::new(),
            Some(path) => read_classes(path)?,
            None => data_set.classes(),
        };
        let ending = self.out.extension().unwrap_or_default();
        let is_file = self.to.endings().iter().any(|known| ending == *known) && !self.out.is_dir();
        if is_file {
            let [picture] = &data_set.pictures[..] else {
                bail!(
                    "{} has {} pictures, and {} is one file: give a folder as --out",
                    self.labels.display(),
                    data_set.pictures.len(),
                    self.out.display()
                );
            };
            if classes.len() > 1 {
                let names: Vec<String> = classes
                    .iter()
                    .map(|(number, name)| format!("{number} {name}"))
                    .collect();
                note!("sam2: the classes are {}", names.join(", "));
            }
            return write(&self.out, &self.contents(picture, &classes)?);
        }
        let mut written: HashMap<PathBuf, &str> = HashMap::new();
        for picture in &data_set.pictures {
            let name = name_of(picture).with_context(|| self.labels.display().to_string())?;
            let mut file = stem_of(&name).into_os_string();
            file.push(".");
            file.push(self.to.endings()[0]);
            let file = PathBuf::from(file);
            if let Some(other) = written.get(&file) {
                bail!("{other} and {name} would have the same file, {}", file.display());
            }
            let path = self.out.join(&file);
            let bytes = self.contents(picture, &classes).with_context(|| name.clone())?;
            let folder = path.parent().unwrap_or(&self.out);
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
            write(&path, &bytes)?;
            written.insert(file, picture.file_name.as_deref().unwrap_or_default());
        }
        if self.to == Format::Yolo {
            write(&self.out.join("data.yaml"), classes_to_yaml(&classes)?.as_bytes())?;
        }
        Ok(())
    }

    fn contents(&self, picture: &LabeledPicture, classes: &Classes) -> Result<Vec<u8>> {
        Ok(match self.to {
            Format::Coco => bail!("COCO has one file for all pictures"),
            Format::Yolo => write_yolo(picture, classes, self.tolerance)?.into_bytes(),
            Format::Labelme => serde_json::to_vec(&write_labelme(picture, self.tolerance)?)?,
            Format::GeoJson => {
                let transform = self.transform.unwrap_or(PIXELS);
                serde_json::to_vec(&write_geojson(picture, transform, self.tolerance)?)?
            }
            Format::Png => {
                let mut picture = picture.clone();
                // Where one lies over another, the smaller one is on top.
                picture
                    .labels
                    .sort_by_key(|label| std::cmp::Reverse(area(&label.mask)));
                write_indexed_png(&picture)?
            }
        })
    }
}

/// The name of a picture's file, or its id.
fn name_of(picture: &LabeledPicture) -> Result<String> {
    let id = picture.id.as_ref().map(ToString::to_string);
    let name = picture.file_name.clone().or(id).context(
        "it does not say which picture its masks are of: give the picture by --images, or a file as --out",
    )?;
    ensure!(
        !stem_of(&name).as_os_str().is_empty(),
        "the picture `{name}` has no name that a file could have"
    );
    Ok(name)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
