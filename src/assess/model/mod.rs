//! A small trained model that stands beside the rules: linear over runs of one to three characters.
//!
//! Rules know words; people in danger use words that nobody foresaw. The model weighs pieces of words instead. It is a
//! file of whole numbers that a person can read and search, made by [`train`] from labelled texts; reading a text with it
//! is pure, needs no network and comes to the same everywhere. It never turns anybody away: what its reading may do is
//! in [`super::support`].

pub mod train;

use std::{collections::HashMap, fmt::Write as _};

use connectors::entry::digest_hex;

use super::text::{self, BREAK};

/// Longest run of characters that is weighed.
pub const LONGEST: usize = 3;

/// Largest file, in bytes.
pub const MODEL_LIMIT: usize = 4 << 20;

/// Most runs in a model.
const GRAM_LIMIT: usize = 200_000;

/// Most classes that a model tells apart.
const CLASS_LIMIT: usize = 8;

/// So much of a weight in the file is one.
const SCALE: f64 = 256.0;

/// Most words shown for a reading.
const WORDS: usize = 5;

/// Stands for the edge of a sentence in the file: a form in which only letters and digits are left has no such sign.
const EDGE: char = '|';

/// Letters at the edge of a run that say nothing to a reader.
const PARTICLES: &str = "了的个把我你他她它就是也都在又还和跟呢吗啊吧一这那";

/// What the first line of a file says.
const FORM: &str = "jiesu-model 1";

/// What is wrong with a model file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model file, line {line}: {problem}; make it anew with `jiesu train`")]
pub struct ModelError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// A model ready to read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    version: String,
    classes: Vec<String>,
    bias: Vec<i32>,
    /// Where the weights of a run begin.
    grams: HashMap<u64, usize>,
    weights: Vec<i32>,
}

/// What a model makes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Share of each class in hundredths, in the order of [`Model::classes`].
    pub shares: Vec<u8>,
    /// The class with the greatest share.
    pub class: usize,
    /// The runs that spoke most for it, strongest first: never anything but what is in the model.
    pub words: Vec<String>,
}

impl Model {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`ModelError`] with the line of the mistake.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let failed = |line: usize, problem: &str| ModelError { line, problem: problem.to_owned() };
        if text.len() > MODEL_LIMIT {
            return Err(failed(1, &format!("{} bytes, more than {MODEL_LIMIT}", text.len())));
        }
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let mut named = |name: &str| -> Result<String, ModelError> {
            let (number, line) = lines.next().ok_or_else(|| failed(1, "the file ends in its head"))?;
            let rest = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
            rest.map(str::to_owned).ok_or_else(|| failed(number, &format!("{name:?} must stand here")))
        };
        let form = format!("{} {}", "jiesu-model", named("jiesu-model")?);
        if form != FORM {
            return Err(failed(1, &format!("{form:?}: this program reads {FORM:?}")));
        }
        let declared = named("version")?;
        named("texts")?;
        let classes: Vec<String> = named("classes")?.split(' ').map(str::to_owned).collect();
        if !(2..=CLASS_LIMIT).contains(&classes.len()) {
            return Err(failed(4, &format!("2 to {CLASS_LIMIT} classes")));
        }
        let numbers = |line: usize, text: &str| -> Result<Vec<i32>, ModelError> {
            let read: Result<Vec<i32>, _> = text.split(' ').map(str::parse).collect();
            let read = read.map_err(|_| failed(line, "whole numbers must stand here"))?;
            if read.len() != classes.len() || read.iter().any(|number| number.abs() > 1 << 20) {
                return Err(failed(line, "one moderate number for each class must stand here"));
            }
            Ok(read)
        };
        let bias = numbers(5, &named("bias")?)?;
        let mut model =
            Self { version: String::new(), classes: classes.clone(), bias, grams: HashMap::new(), weights: Vec::new() };
        for (number, line) in lines {
            let (gram, weights) =
                line.split_once('\t').ok_or_else(|| failed(number, "a tab must stand after the run"))?;
            let gram: Vec<char> = gram.chars().map(|letter| if letter == EDGE { BREAK } else { letter }).collect();
            if !(1..=LONGEST).contains(&gram.len()) {
                return Err(failed(number, &format!("a run has 1 to {LONGEST} characters")));
            }
            if model.grams.len() == GRAM_LIMIT {
                return Err(failed(number, &format!("more than {GRAM_LIMIT} runs")));
            }
            let weights = numbers(number, weights)?;
            if model.grams.insert(pack(&gram), model.weights.len()).is_some() {
                return Err(failed(number, "the run stands here twice"));
            }
            model.weights.extend(weights);
        }
        let digest = digest_hex(&[text.as_bytes()]);
        model.version = format!("{declared}+{}", digest.get(..8).unwrap_or(&digest));
        Ok(model)
    }

    /// Version of the model: what its file says, and eight digits of the digest of its text.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The classes it tells apart.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How many runs it weighs.
    pub fn size(&self) -> usize {
        self.grams.len()
    }

    /// Reads a text in the form of [`form`].
    pub fn read(&self, form: &str) -> Reading {
        let count = self.classes.len();
        let found: Vec<(u64, &[i32])> = grams(form)
            .into_iter()
            .filter_map(|gram| self.grams.get(&gram).map(|start| (gram, &self.weights[*start..*start + count])))
            .collect();
        let root = real(found.len().max(1)).sqrt();
        let logits: Vec<f64> = (0..count)
            .map(|class| {
                let sum: i64 = found.iter().map(|(_, weights)| i64::from(weights[class])).sum();
                f64::from(self.bias[class]) / SCALE + real(sum) / SCALE / root
            })
            .collect();
        let shares = softmax(&logits);
        let class = (0..count).rev().max_by(|left, right| shares[*left].total_cmp(&shares[*right])).unwrap_or(0);
        Reading { class, words: words(&found, class), shares: shares.into_iter().map(hundredths).collect() }
    }
}

/// The runs that speak most for a class against the next, longest kept where one lies in another.
fn words(found: &[(u64, &[i32])], class: usize) -> Vec<String> {
    let gain = |weights: &[i32]| {
        let others = weights.iter().enumerate().filter(|(other, _)| *other != class).map(|(_, weight)| *weight);
        weights[class] - others.max().unwrap_or(0)
    };
    let particle = |letter: char| PARTICLES.contains(letter);
    let mut ranked: Vec<(i32, String)> = found
        .iter()
        .map(|(gram, weights)| (gain(weights), spell(*gram)))
        .filter(|(gain, word)| {
            *gain > 0 && word.chars().count() > 1 && !word.starts_with(particle) && !word.ends_with(particle)
        })
        .collect();
    // The gain of a longer run comes on top of those of its parts: of near equals the longer says more to a reader.
    ranked.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    let mut words: Vec<String> = Vec::new();
    for (_, word) in ranked {
        if words.iter().any(|kept| kept.contains(&word)) {
            continue;
        }
        if let Some(part) = words.iter_mut().find(|kept| word.contains(kept.as_str())) {
            *part = word;
        } else if words.len() < WORDS {
            words.push(word);
        } else {
            break;
        }
    }
    words
}

/// The form in which texts are read: the parts of a complaint as sentences, each between edges.
pub fn form<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut form = String::from(BREAK);
    for part in parts {
        let part = text::sentences(part);
        let part = part.trim_matches(BREAK);
        if !part.is_empty() {
            form.push_str(part);
            form.push(BREAK);
        }
    }
    form
}

/// Every run of a form once, in ascending order.
fn grams(form: &str) -> Vec<u64> {
    let letters: Vec<char> = form.chars().collect();
    let mut grams = Vec::with_capacity(letters.len() * LONGEST);
    for start in 0..letters.len() {
        for length in 1..=LONGEST.min(letters.len() - start) {
            let gram = &letters[start..start + length];
            let inside = length > 2 && gram[1..length - 1].contains(&BREAK);
            if inside || gram.iter().all(|letter| *letter == BREAK) {
                continue;
            }
            grams.push(pack(gram));
        }
    }
    grams.sort_unstable();
    grams.dedup();
    grams
}

/// Bits of a character.
const BITS: u32 = 21;

fn pack(gram: &[char]) -> u64 {
    gram.iter().fold(0, |packed, letter| packed << BITS | u64::from(u32::from(*letter)))
}

fn letters(gram: u64) -> impl Iterator<Item = char> {
    let codes = (0..3_u32).rev().map(move |place| (gram >> (BITS * place)) & ((1 << BITS) - 1));
    codes.filter(|code| *code > 0).filter_map(|code| u32::try_from(code).ok().and_then(char::from_u32))
}

/// The run as people read it.
fn spell(gram: u64) -> String {
    letters(gram).filter(|letter| *letter != BREAK).collect()
}

/// The run as the file has it.
fn write_gram(gram: u64) -> String {
    letters(gram).map(|letter| if letter == BREAK { EDGE } else { letter }).collect()
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let greatest = logits.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - greatest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts and sums of weights lie far below 2^52")]
fn real(number: impl TryInto<i64>) -> f64 {
    number.try_into().map_or(f64::INFINITY, |number| number as f64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share lies between 0 and 1")]
fn hundredths(share: f64) -> u8 {
    (share * 100.0).round() as u8
}

/// Writes a model file.
fn write(version: &str, texts: &str, classes: &[String], bias: &[i32], grams: &[(u64, Vec<i32>)]) -> String {
    let numbers = |numbers: &[i32]| numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
    let mut file =
        format!("{FORM}\nversion {version}\ntexts {texts}\nclasses {}\nbias {}\n", classes.join(" "), numbers(bias));
    for (gram, weights) in grams {
        let _ = writeln!(file, "{}\t{}", write_gram(*gram), numbers(weights));
    }
    file
}

#[cfg(test)]
mod tests;
