//! Labels and their pictures, whatever file they come from.

use std::collections::BTreeMap;
use std::fmt;

use sam2_predict::{MAX_PIXELS, Rle};
use serde::Serialize;
use serde_json::{Number, Value};

use crate::LabelsError;

/// The names of classes by their numbers.
pub type Classes = BTreeMap<usize, String>;

/// A number or a name that a file gives to something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// A number; a whole one, in nearly all files.
    Number(Number),
    /// A name.
    Text(String),
}

impl Id {
    /// None unless the value is a number or text. A whole number is the same with and without a decimal point.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) => Some(match number.as_f64() {
                Some(float) if number.is_f64() && float == (float as i64) as f64 => Self::from(float as i64),
                _ => Self::Number(number.clone()),
            }),
            _ => None,
        }
    }

    /// The number, where it is a whole one from 0.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            Self::Text(_) => None,
        }
    }
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A picture's size, of at least one pixel and at most [`MAX_PIXELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    width: usize,
    height: usize,
}

impl Size {
    /// # Errors
    /// There are more pixels than [`MAX_PIXELS`], or none.
    pub fn new(width: usize, height: usize) -> Result<Self, LabelsError> {
        match width.checked_mul(height) {
            Some(1..=MAX_PIXELS) => Ok(Self { width, height }),
            _ => Err(LabelsError::PixelCount {
                what: "the picture".into(),
                width: width as u64,
                height: height as u64,
            }),
        }
    }

    /// In pixels.
    pub fn width(self) -> usize {
        self.width
    }

    /// In pixels.
    pub fn height(self) -> usize {
        self.height
    }

    pub(crate) fn of(mask: &Rle) -> Self {
        Self {
            width: mask.width(),
            height: mask.height(),
        }
    }
}

/// One object of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Which pixels are on the object.
    pub mask: Rle,
    /// The name of its class.
    pub category: String,
    /// Its number or name in the file. It is kept where it is written again, so it must be of this label alone.
    pub id: Option<Id>,
    /// COCO's number of its class, where two classes have one name.
    pub category_id: Option<Id>,
    /// COCO's `iscrowd`: many objects as one.
    pub crowd: bool,
    /// How sure a model was, 0 to 1.
    pub score: Option<f64>,
}

impl Label {
    /// A label of a mask and its class, and nothing else.
    pub fn new(mask: Rle, category: impl Into<String>) -> Self {
        Self {
            mask,
            category: category.into(),
            id: None,
            category_id: None,
            crowd: false,
            score: None,
        }
    }
}

/// A picture and its objects, whose masks are of its size.
#[derive(Clone, Debug, PartialEq)]
pub struct LabeledPicture {
    /// The picture's size.
    pub size: Size,
    /// Its objects.
    pub labels: Vec<Label>,
    /// The name of its file, where the labels' file says it.
    pub file_name: Option<String>,
    /// Its number or name in a file of many pictures.
    pub id: Option<Id>,
}

impl LabeledPicture {
    /// A picture of which only its size and its objects are known.
    pub fn new(size: Size, labels: Vec<Label>) -> Self {
        Self {
            size,
            labels,
            file_name: None,
            id: None,
        }
    }

    /// # Errors
    /// A mask is not of the picture's size.
    pub(crate) fn check(&self) -> Result<(), LabelsError> {
        let sides = |size: Size| [size.width, size.height];
        let wrong = |label: &Label| Size::of(&label.mask) != self.size;
        match self.labels.iter().position(wrong) {
            None => Ok(()),
            Some(index) => Err(LabelsError::MaskSize {
                index,
                mask: sides(Size::of(&self.labels[index].mask)),
                picture: sides(self.size),
            }),
        }
    }
}

/// What a file holds of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadPicture {
    /// The picture and its labels.
    pub picture: LabeledPicture,
    /// What of the file was passed over, in words.
    pub warnings: Vec<String>,
}
