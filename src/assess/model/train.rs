//! Trains a [`Model`]: logistic regression by gradient steps whose size falls with what a run has already learnt
//! (`AdaGrad`). Seed, order and settings are fixed, so the same texts make the same file.

use std::collections::{BTreeMap, HashMap};

use connectors::entry::digest_hex;

use super::{Model, ModelError, SCALE, grams, real, softmax, write};

/// Passes over the texts.
const PASSES: u64 = 30;

/// Size of a step.
const STEP: f64 = 0.2;

/// How strongly weights are drawn to nothing.
const DECAY: f64 = 1e-4;

/// Texts in which a run must stand to be weighed: what stands in one teaches nothing about another.
const LEAST: usize = 2;

/// Runs whose weights differ by less between the classes are left out, in parts of [`SCALE`].
const FAINT: i32 = 12;

/// A labelled text.
#[derive(Debug, Clone)]
pub struct Example {
    /// The text, as [`super::form`] makes it.
    pub form: String,
    /// Its class.
    pub class: String,
}

/// Why nothing can be learnt.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Too few texts or classes.
    #[error("there are {texts} texts of {classes} classes; two classes with ten texts each are the least")]
    Few {
        /// Texts.
        texts: usize,
        /// Classes.
        classes: usize,
    },
    /// The file made can't be read back.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Trains a model and tells its file.
///
/// # Errors
/// [`TrainError`] where there is too little to learn from.
pub fn train(examples: &[Example], version: &str) -> Result<(Model, String), TrainError> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for example in examples {
        *counts.entry(&example.class).or_default() += 1;
    }
    if counts.len() < 2 || counts.values().any(|count| *count < 10) {
        return Err(TrainError::Few { texts: examples.len(), classes: counts.len() });
    }
    let classes: Vec<String> = counts.keys().map(|class| (*class).to_owned()).collect();
    let data = Data::of(examples, &classes);
    let learnt = learn(&data, classes.len());
    let whole = |weight: f64| whole(weight * SCALE);
    let bias: Vec<i32> = learnt.bias.iter().map(|weight| whole(*weight)).collect();
    let weighed = data.grams.iter().enumerate().map(|(number, gram)| {
        let start = number * classes.len();
        (*gram, learnt.weights[start..start + classes.len()].iter().map(|weight| whole(*weight)).collect::<Vec<i32>>())
    });
    let spread = |weights: &[i32]| weights.iter().max().unwrap_or(&0) - weights.iter().min().unwrap_or(&0);
    let kept: Vec<(u64, Vec<i32>)> = weighed.filter(|(_, weights)| spread(weights) >= FAINT).collect();
    let text: Vec<&[u8]> =
        examples.iter().flat_map(|example| [example.class.as_bytes(), example.form.as_bytes()]).collect();
    let digest = digest_hex(&text);
    let counted: Vec<String> = counts.iter().map(|(class, count)| format!("{class} {count}")).collect();
    let texts = format!("{} ({}) digest {}", examples.len(), counted.join(", "), digest.get(..16).unwrap_or(&digest));
    let file = write(version, &texts, &classes, &bias, &kept);
    Ok((Model::parse(&file)?, file))
}

/// The texts as numbers.
struct Data {
    /// The runs that are weighed, in ascending order.
    grams: Vec<u64>,
    /// For each text its class and its runs.
    texts: Vec<(usize, Vec<usize>)>,
}

impl Data {
    fn of(examples: &[Example], classes: &[String]) -> Self {
        let read: Vec<Vec<u64>> = examples.iter().map(|example| grams(&example.form)).collect();
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for gram in read.iter().flatten() {
            *counts.entry(*gram).or_default() += 1;
        }
        let grams: Vec<u64> = counts.into_iter().filter(|(_, count)| *count >= LEAST).map(|(gram, _)| gram).collect();
        let numbers: HashMap<u64, usize> = grams.iter().enumerate().map(|(number, gram)| (*gram, number)).collect();
        let texts = examples
            .iter()
            .zip(read)
            .map(|(example, read)| {
                let class = classes.iter().position(|class| *class == example.class).unwrap_or(0);
                (class, read.iter().filter_map(|gram| numbers.get(gram).copied()).collect())
            })
            .collect();
        Self { grams, texts }
    }
}

struct Learnt {
    bias: Vec<f64>,
    weights: Vec<f64>,
}

fn learn(data: &Data, classes: usize) -> Learnt {
    let mut learnt = Learnt { bias: vec![0.0; classes], weights: vec![0.0; data.grams.len() * classes] };
    let mut moved = vec![1e-8; learnt.weights.len()];
    let mut order: Vec<usize> = (0..data.texts.len()).collect();
    for pass in 0..PASSES {
        shuffle(&mut order, pass);
        for text in &order {
            let (truth, grams) = &data.texts[*text];
            if grams.is_empty() {
                continue;
            }
            let share = 1.0 / real(grams.len()).sqrt();
            let logits: Vec<f64> = (0..classes)
                .map(|class| {
                    let sum: f64 = grams.iter().map(|gram| learnt.weights[gram * classes + class]).sum();
                    sum.mul_add(share, learnt.bias[class])
                })
                .collect();
            let mut errors = softmax(&logits);
            errors[*truth] -= 1.0;
            for (class, error) in errors.iter().enumerate() {
                learnt.bias[class] -= STEP * 0.1 * error;
                for gram in grams {
                    let place = gram * classes + class;
                    let slope = error * share + DECAY * learnt.weights[place];
                    moved[place] += slope * slope;
                    learnt.weights[place] -= STEP * slope / moved[place].sqrt();
                }
            }
        }
    }
    learnt
}

/// Puts the texts in another order, the same for the same pass (Fisher and Yates with `SplitMix64`).
fn shuffle(order: &mut [usize], pass: u64) {
    let mut state = pass.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678);
    for last in (1..order.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let span = u64::try_from(last + 1).unwrap_or(u64::MAX);
        order.swap(last, usize::try_from(mixed % span).unwrap_or(0));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a weight beyond the bounds is cut to them first")]
fn whole(number: f64) -> i32 {
    number.round().clamp(-1e6, 1e6) as i32
}
