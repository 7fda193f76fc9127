//! What is one matter and what is not: tables, and properties over texts put together from them.

use proptest::prelude::*;

use super::{compare::Comparison, *};
use crate::assess::ShownComplaint;

/// Pairs that must not be joined: `fixtures/repeats/apart.txt`.
const APART: &str = include_str!("../../fixtures/repeats/apart.txt");

/// One side of a pair: title, place, text.
type Told<'a> = [&'a str; 3];

/// Why a pair is apart, whether one person tells both, and both.
fn apart() -> Vec<(&'static str, bool, Told<'static>, Told<'static>)> {
    let lines = APART.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('|').collect();
            let [why, person, title, place, text, other_title, other_place, other_text] = fields[..] else {
                panic!("eight fields: {line}");
            };
            assert!(matches!(person, "same" | "other"), "{line}");
            (why, person == "same", [title, place, text], [other_title, other_place, other_text])
        })
        .collect()
}

fn read([title, place, text]: Told, person: u8, vocabulary: &Vocabulary) -> Signature {
    let shown = ShownComplaint {
        subject: Some(title.to_owned()),
        place: (place != "-").then(|| place.to_owned()),
        body: text.to_owned(),
        ..ShownComplaint::default()
    };
    Signature::of(&shown, &[vec![person; 16]], vocabulary)
}

/// Frequencies over all the texts of the table.
fn frequencies(vocabulary: &Vocabulary) -> Frequencies {
    let mut frequencies = Frequencies::new(1000);
    for (_, _, one, other) in apart() {
        frequencies.add(&read(one, 1, vocabulary));
        frequencies.add(&read(other, 2, vocabulary));
    }
    frequencies
}

#[test]
fn different_matters_are_kept_apart() {
    let vocabulary = Vocabulary::shipped().unwrap();
    let frequencies = frequencies(&vocabulary);
    let pairs = apart();
    assert!(pairs.len() >= 60, "{}", pairs.len());
    let mut wrong = Vec::new();
    for (why, same_person, one, other) in &pairs {
        let left = read(*one, 1, &vocabulary);
        let right = read(*other, if *same_person { 1 } else { 2 }, &vocabulary);
        let comparison = compare(&left, &right, &frequencies);
        if standing(&comparison) == Standing::Same {
            wrong.push(format!("{why}: {} / {}: {:?}", one[0], other[0], explain(&comparison, &vocabulary)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn another_building_line_or_company_is_said_to_be_the_reason() {
    let vocabulary = Vocabulary::shipped().unwrap();
    let frequencies = frequencies(&vocabulary);
    let guarded = ["另一栋", "另一小区", "另一线路", "另一学校", "另一村", "另一年"];
    for (why, _, one, other) in apart().into_iter().filter(|(why, ..)| guarded.contains(why)) {
        let comparison = compare(&read(one, 1, &vocabulary), &read(other, 2, &vocabulary), &frequencies);
        let (_, against) = explain(&comparison, &vocabulary);
        assert!(against.iter().any(|sign| sign.contains("不同")), "{why}: {one:?} {against:?}");
    }
}

/// A text put together from the table's.
fn told() -> impl Strategy<Value = [String; 3]> {
    let sides: Vec<Told> = apart().into_iter().flat_map(|(_, _, one, other)| [one, other]).collect();
    let parts = (
        prop::sample::select(sides.clone()),
        prop::sample::select(sides.clone()),
        prop::collection::vec(prop::sample::select(sides), 1..4),
    );
    parts.prop_map(|(title, place, texts)| {
        let text: String = texts.iter().map(|side| side[2]).collect();
        [title[0].to_owned(), place[1].to_owned(), text]
    })
}

fn borrowed(told: &[String; 3]) -> Told<'_> {
    [&told[0], &told[1], &told[2]]
}

fn known() -> &'static (Vocabulary, Frequencies) {
    static KNOWN: std::sync::LazyLock<(Vocabulary, Frequencies)> = std::sync::LazyLock::new(|| {
        let vocabulary = Vocabulary::shipped().unwrap();
        let frequencies = frequencies(&vocabulary);
        (vocabulary, frequencies)
    });
    &KNOWN
}

proptest! {
    #[test]
    fn it_does_not_matter_which_came_first(one in told(), other in told(), same_person: bool) {
        let (vocabulary, frequencies) = known();
        let left = read(borrowed(&one), 1, vocabulary);
        let right = read(borrowed(&other), if same_person { 1 } else { 2 }, vocabulary);
        let (forth, back) = (compare(&left, &right, frequencies), compare(&right, &left, frequencies));
        prop_assert_eq!(standing(&forth), standing(&back), "{:?} {:?}", forth, back);
        prop_assert_eq!(forth.conflicts.len(), back.conflicts.len());
    }

    #[test]
    fn a_complaint_is_one_matter_with_itself(one in told()) {
        let (vocabulary, frequencies) = known();
        let signature = read(borrowed(&one), 1, vocabulary);
        let comparison = compare(&signature, &signature, frequencies);
        prop_assert_eq!(standing(&comparison), Standing::Same, "{:?}", comparison);
    }

    #[test]
    fn no_sign_outweighs_a_conflict(one in told(), other in told()) {
        let (vocabulary, frequencies) = known();
        let comparison =
            compare(&read(borrowed(&one), 1, vocabulary), &read(borrowed(&other), 1, vocabulary), frequencies);
        let conflict = Conflict::Topic(0, 2);
        let worse = Comparison { conflicts: [comparison.conflicts.clone(), vec![conflict]].concat(), ..comparison };
        prop_assert_ne!(standing(&worse), Standing::Same);
    }

    #[test]
    fn the_same_words_of_two_buildings_are_two_matters(one in told(), left in 100_u32..200, right in 200_u32..300) {
        let (vocabulary, frequencies) = known();
        let at = |number: u32| {
            let [title, _, text] = borrowed(&one);
            read([title, &format!("盛源小区{number}号楼"), text], 1, vocabulary)
        };
        let apart = |signature: &Signature| {
            // Only where no other building is named in title and beginning.
            signature.units.iter().filter(|unit| unit.kind == UnitKind::Building && unit.head).count() == 1
        };
        let (left, right) = (at(left), at(right));
        prop_assume!(apart(&left) && apart(&right));
        prop_assert_ne!(standing(&compare(&left, &right, frequencies)), Standing::Same);
    }
}

/// Two complaints by two people: whether they are taken for one matter, and what stood against it.
fn judge(left: (&str, &str), right: (&str, &str)) -> (Standing, Vec<String>, f32) {
    let vocabulary = Vocabulary::shipped().unwrap();
    let signature = |(subject, body): (&str, &str)| {
        let shown =
            ShownComplaint { subject: Some(subject.to_owned()), body: body.to_owned(), ..ShownComplaint::default() };
        Signature::of(&shown, &[], &vocabulary)
    };
    let (left, right) = (signature(left), signature(right));
    let mut frequencies = Frequencies::new(1000);
    frequencies.add(&left);
    frequencies.add(&right);
    let comparison = compare(&left, &right, &frequencies);
    (standing(&comparison), explain(&comparison, &vocabulary).1, comparison.score)
}

#[test]
fn one_matter_in_other_words_is_one() {
    for (left, right) in [
        (
            ("锦绣花园3号楼暖气不热", "锦绣花园3号楼入冬以来暖气一直不热，室温只有十四度，老人受不了。"),
            (
                "供热公司不管锦绣花园",
                "我家住锦绣花园小区3号楼，开栓半个月了屋里冷得不行，测温只有14度，打热力公司电话没人来。",
            ),
        ),
        (
            ("翠湖豪庭附近搅拌站噪音扰民", "翠湖豪庭小区旁边建了搅拌站，昼夜施工，灰尘很大。"),
            ("强烈要求搬走搅拌站", "我是翠湖豪庭的业主，小区百米内违建大型搅拌站，粉尘和噪音让人无法生活，请查处。"),
        ),
    ] {
        let (standing, against, score) = judge(left, right);
        assert_eq!(standing, Standing::Same, "{left:?} {against:?} {score}");
    }
}

#[test]
fn the_same_words_about_another_object_are_another_matter() {
    let mut wrong = Vec::new();
    let copies = [
        ("新天地花园小区临街门面烧烤夜宵摊", "翠湖豪庭小区临街门面烧烤夜宵摊"),
        ("白塔区民主路一师新天地花园小区油烟扰民", "宏伟区劳动东路翠湖豪庭小区油烟扰民"),
        ("锦绣花园3号楼一楼漏水", "锦绣花园8号楼一楼漏水"),
        ("204路公交车间隔太长", "305路公交车间隔太长"),
        ("2017年出租车燃油补贴为何没有发放", "2018年度出租车燃油补贴为何没有发放"),
        ("鞍山市到辽阳市什么时候开通城际公交", "本溪市到辽阳市什么时候开通城际公交"),
        ("宏达供热公司不退取暖费", "富民供热公司不退取暖费"),
        ("民主路58号门前路灯不亮", "民主路76号门前路灯不亮"),
        ("第五中学乱收补课费", "第八中学乱收补课费"),
        ("兰家镇东柳村村干部侵占耕地", "兰家镇西营村村干部侵占耕地"),
    ];
    for (one, other) in copies {
        let body = |subject: &str| {
            format!("{subject}，二十四小时经营，多次反映没有结果，物业说管不了，城管来了就收走了又摆，请相关部门处理。")
        };
        let (standing, against, score) = judge((one, &body(one)), (other, &body(other)));
        if standing == Standing::Same || against.is_empty() {
            wrong.push(format!("{one} / {other}: {score} {against:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn another_problem_of_one_estate_is_another_matter() {
    let (standing, against, score) = judge(
        ("锦绣花园小区电梯经常困人", "锦绣花园小区5号楼的电梯又坏了，困住了两个孩子，维保公司不来。"),
        ("锦绣花园小区楼下烧烤店油烟扰民", "锦绣花园小区门口的烧烤店每天晚上油烟呛得不敢开窗。"),
    );
    assert_ne!(standing, Standing::Same, "{against:?} {score}");
}
