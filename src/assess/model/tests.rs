use proptest::prelude::*;

use super::{
    train::{Example, TrainError, train},
    *,
};

fn examples() -> Vec<Example> {
    let texts =
        [("danger", "着火了快来"), ("danger", "房子起火人在里面"), ("none", "物业费太高"), ("none", "咨询社保缴费")];
    let repeated = (0..20).map(|number| texts[number % texts.len()]);
    repeated.map(|(class, text)| Example { form: form([text]), class: class.to_owned() }).collect()
}

#[test]
fn the_same_texts_make_the_same_model_which_tells_them_apart() {
    let (model, file) = train(&examples(), "test").unwrap();
    assert_eq!(file, train(&examples(), "test").unwrap().1);
    assert_eq!(Model::parse(&file).unwrap(), model);
    assert!(model.version().starts_with("test+"));
    for (text, class) in [("家里着火了", "danger"), ("咨询缴费", "none")] {
        let reading = model.read(&form([text]));
        assert_eq!(model.classes()[reading.class], class, "{text}: {reading:?}");
        assert!(reading.shares[reading.class] > 60, "{text}: {reading:?}");
        let sum: u32 = reading.shares.iter().map(|share| u32::from(*share)).sum();
        assert!((99..=101).contains(&sum));
        let normal = text::normal(text);
        assert!(!reading.words.is_empty() && reading.words.iter().all(|word| normal.contains(word)), "{reading:?}");
    }
}

#[test]
fn too_little_teaches_nothing() {
    assert!(matches!(train(&examples()[..4], "test"), Err(TrainError::Few { texts: 4, classes: 2 })));
}

#[test]
fn a_run_ends_at_a_sentence() {
    let spelled: Vec<String> = grams(&form(["着火", "快来"])).into_iter().map(write_gram).collect();
    for there in ["着火", "|着", "火|", "快来", "来|", "|着火"] {
        assert!(spelled.iter().any(|gram| gram == there), "{there} in {spelled:?}");
    }
    assert!(!spelled.iter().any(|gram| gram.contains("火|快") || gram == "|"), "{spelled:?}");
}

#[test]
fn mistakes_in_a_file_name_their_line() {
    let head = "jiesu-model 1\nversion 1\ntexts 2\nclasses a b\nbias 0 0\n";
    for (text, line) in [
        (String::new(), 1),
        (head.replace("model 1", "model 9"), 1),
        (head.replace("a b", "a"), 4),
        (head.replace("0 0", "0"), 5),
        (format!("{head}着火 1 2\n"), 6),
        (format!("{head}着火\t1 x\n"), 6),
        (format!("{head}着火了快\t1 2\n"), 6),
        (format!("{head}着火\t1 2\n着火\t1 2\n"), 7),
    ] {
        assert_eq!(Model::parse(&text).unwrap_err().line, line, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in any::<String>()) {
        let (model, _) = train(&examples(), "test").unwrap();
        let reading = model.read(&form([text.as_str()]));
        prop_assert!(reading.class < model.classes().len());
    }
}
