//! Looks at two complaints closely and says whether they are about the same matter, by which signs, and what stands
//! against it. Pure. On doubt they are two matters that are shown beside each other: who is joined wrongly loses an answer.

use std::collections::HashSet;

use super::{
    frequency::Frequencies,
    signature::{Name, Signature, gram},
    vocabulary::{NameKind, UnitKind, Vocabulary},
};

/// What two complaints have in common, and what keeps them apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// How much of the better contained title stands in the other complaint, from 0 to 1, by weight.
    pub title_most: f32,
    /// How much of the other one's.
    pub title_least: f32,
    /// How alike the words of the whole are, from 0 to 1, by weight.
    pub wording: f32,
    /// How much of the shorter stands in the longer.
    pub contained: f32,
    /// How much of the shorter stands in the longer, names left out: what is said of the object.
    pub beyond: f32,
    /// Names that both have.
    pub names: Vec<String>,
    /// Topics that both have.
    pub topics: Vec<u32>,
    /// Whether their titles are about different things.
    pub other_topic: bool,
    /// Whether both come from one petitioner.
    pub same_person: bool,
    /// Whether both petitioners have one name, and nothing shows that they are two.
    pub same_name: bool,
    /// What shows that they are not the same matter.
    pub conflicts: Vec<Conflict>,
    /// All signs together; see [`standing`].
    pub score: f32,
}

/// What shows that two complaints are not about the same matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Another estate, road, company.
    Name(NameKind, String, String),
    /// Another building, line, year.
    Unit(UnitKind, String, String),
}

/// How two complaints stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// One matter.
    Same,
    /// Alike enough to be shown beside each other, and no more.
    Related,
    /// Nothing to do with each other.
    Different,
}

/// From here on two petitioners' complaints are one matter.
const SAME: f32 = 0.60;
/// From here on one petitioner's complaints are one matter.
const SAME_PERSON: f32 = 0.50;
/// From here on complaints of petitioners of one name are one matter, where an object or a problem agrees.
const SAME_NAME: f32 = 0.55;
/// What must be alike besides names where no topic agrees.
const BEYOND: f32 = 0.15;
/// From here on complaints are shown beside each other.
const RELATED: f32 = 0.35;

/// How complaints that compare like this stand to each other.
pub fn standing(comparison: &Comparison) -> Standing {
    let needed = match comparison {
        Comparison { same_person: true, .. } => SAME_PERSON,
        // A name alone is no proof: an object or a problem must agree too.
        Comparison { same_name: true, names, topics, .. } if !names.is_empty() || !topics.is_empty() => SAME_NAME,
        _ => SAME,
    };
    // One estate has many matters: that the object agrees is not enough.
    let one_problem = !comparison.topics.is_empty() || comparison.beyond >= BEYOND;
    if comparison.conflicts.is_empty() && one_problem && comparison.score >= needed {
        Standing::Same
    } else if comparison.score >= RELATED || (!comparison.names.is_empty() && !comparison.topics.is_empty()) {
        Standing::Related
    } else {
        Standing::Different
    }
}

/// Compares two complaints.
pub fn compare(left: &Signature, right: &Signature, frequencies: &Frequencies) -> Comparison {
    let share = |part: f32, whole: f32| if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 };
    let left_title = share(frequencies.shared(&left.head, &right.grams), frequencies.total(&left.head));
    let right_title = share(frequencies.shared(&right.head, &left.grams), frequencies.total(&right.head));
    let common = frequencies.shared(&left.grams, &right.grams);
    let (left_all, right_all) = (frequencies.total(&left.grams), frequencies.total(&right.grams));
    let wording = share(common, (left_all * right_all).sqrt());
    let contained = share(common, left_all.min(right_all));
    let beyond = beyond_names(left, right, frequencies);
    let names = shared_names(left, right);
    let topics: Vec<u32> = left
        .topics
        .iter()
        .filter(|topic| right.topics.iter().any(|other| other.id == topic.id))
        .map(|topic| topic.id)
        .collect();
    let other_topic = other_topic(left, right);
    let same_person = left.persons.iter().any(|person| right.persons.contains(person));
    let same_name = !same_person && left.namesake.is_some() && left.namesake == right.namesake;
    let conflicts = conflicts(left, right, !names.is_empty());
    let title_most = left_title.max(right_title);
    let title_least = left_title.min(right_title);
    let mut score = 0.5 * title_most + 0.5 * title_least + wording;
    if !names.is_empty() && topics.iter().any(|topic| in_title(left, *topic) || in_title(right, *topic)) {
        score += if same_person || same_name { 0.3 } else { 0.1 };
    }
    if other_topic {
        score -= 0.30;
    }
    Comparison {
        title_most,
        title_least,
        wording,
        contained,
        beyond,
        names,
        topics,
        other_topic,
        same_person,
        same_name,
        conflicts,
        score,
    }
}

/// How much of the shorter complaint stands in the longer, the word pieces of both one's names left out.
fn beyond_names(left: &Signature, right: &Signature, frequencies: &Frequencies) -> f32 {
    let mut named: Vec<u32> = Vec::new();
    for name in left.names.iter().chain(&right.names) {
        let starts: Vec<usize> =
            name.text.char_indices().map(|(position, _)| position).chain([name.text.len()]).collect();
        for size in [2, 3] {
            for window in starts.windows(size + 1) {
                if let (Some(from), Some(to)) = (window.first(), window.last()) {
                    named.push(gram(&name.text[*from..*to]));
                }
            }
        }
    }
    named.sort_unstable();
    let rest = |signature: &Signature| -> Vec<u32> {
        signature.grams.iter().copied().filter(|gram| named.binary_search(gram).is_err()).collect()
    };
    let (left, right) = (rest(left), rest(right));
    let whole = frequencies.total(&left).min(frequencies.total(&right));
    if whole > 0.0 { frequencies.shared(&left, &right) / whole } else { 0.0 }
}

fn in_title(signature: &Signature, topic: u32) -> bool {
    signature.topics.iter().any(|one| one.head && one.id == topic)
}

/// Whether both titles have topics, and neither's are anywhere in the other complaint.
fn other_topic(left: &Signature, right: &Signature) -> bool {
    let head = |signature: &Signature| -> HashSet<u32> {
        signature.topics.iter().filter(|topic| topic.head).map(|topic| topic.id).collect()
    };
    let all = |signature: &Signature| -> HashSet<u32> { signature.topics.iter().map(|topic| topic.id).collect() };
    let (left_head, right_head) = (head(left), head(right));
    !left_head.is_empty()
        && !right_head.is_empty()
        && left_head.is_disjoint(&all(right))
        && right_head.is_disjoint(&all(left))
}

/// Whether two names name the same: the ends of their cores agree.
fn agree(left: &Name, right: &Name) -> bool {
    let (one, other) = (left.core(), right.core());
    let length = one.chars().count().min(other.chars().count()).min(3);
    length >= 2 && tail(one, length) == tail(other, length)
}

fn tail(text: &str, characters: usize) -> &str {
    text.char_indices().rev().nth(characters - 1).map_or(text, |(start, _)| &text[start..])
}

fn shared_names(left: &Signature, right: &Signature) -> Vec<String> {
    let mut shared = Vec::new();
    for name in left.names.iter().filter(|name| name.kind != NameKind::Region) {
        let found = right.names.iter().any(|other| other.kind != NameKind::Region && agree(name, other));
        if (found || mentions(right, name)) && !shared.contains(&name.text) {
            shared.push(name.text.clone());
        }
    }
    for name in right.names.iter().filter(|name| name.kind != NameKind::Region) {
        let known = left.names.iter().any(|other| agree(name, other));
        if !known && mentions(left, name) && !shared.contains(&name.text) {
            shared.push(name.text.clone());
        }
    }
    shared
}

/// Whether a complaint has the name's core somewhere, though not as a name.
fn mentions(signature: &Signature, name: &Name) -> bool {
    let core = name.core();
    let length = core.chars().count().min(3);
    length >= 2 && signature.grams.binary_search(&gram(tail(core, length))).is_ok()
}

/// Kinds of which each names one thing, so that another name is another thing.
const EXACT: [NameKind; 6] =
    [NameKind::Estate, NameKind::School, NameKind::Hospital, NameKind::Company, NameKind::Shop, NameKind::Place];

fn conflicts(left: &Signature, right: &Signature, share_names: bool) -> Vec<Conflict> {
    let mut found = Vec::new();
    for kind in [NameKind::Road, NameKind::Village, NameKind::Region].into_iter().chain(EXACT) {
        let titled = |signature: &'_ Signature| -> Vec<Name> {
            signature.names.iter().filter(|name| name.kind == kind && name.head).cloned().collect()
        };
        let (ours, theirs) = (titled(left), titled(right));
        let (Some(one), Some(other)) = (ours.first(), theirs.first()) else { continue };
        let known = |names: &[Name], signature: &Signature| {
            names.iter().any(|name| signature.names.iter().any(|other| agree(name, other)) || mentions(signature, name))
        };
        let apart = if kind == NameKind::Region {
            let extra = |names: &[Name], others: &[Name]| {
                names.iter().any(|name| !others.iter().any(|other| other.text == name.text))
            };
            extra(&ours, &theirs) && extra(&theirs, &ours)
        } else {
            !known(&ours, right) && !known(&theirs, left)
        };
        // Roads, villages and districts are told loosely; where an estate or a company agrees they do not count.
        if apart && (!share_names || EXACT.contains(&kind) && !shares_exact(left, right)) {
            found.push(Conflict::Name(kind, one.text.clone(), other.text.clone()));
        }
    }
    for kind in UnitKind::ALL {
        let of = |signature: &Signature| -> Vec<String> {
            let head = signature.units.iter().filter(|unit| unit.kind == kind && unit.head);
            head.map(|unit| unit.text.clone()).collect()
        };
        let (ours, theirs) = (of(left), of(right));
        let (Some(one), Some(other)) = (ours.first(), theirs.first()) else { continue };
        let has = |signature: &Signature, text: &String| {
            signature.units.iter().any(|unit| unit.kind == kind && unit.text == *text)
        };
        if !ours.iter().any(|unit| has(right, unit)) && !theirs.iter().any(|unit| has(left, unit)) {
            found.push(Conflict::Unit(kind, one.clone(), other.clone()));
        }
    }
    found
}

fn shares_exact(left: &Signature, right: &Signature) -> bool {
    let exact = |signature: &'_ Signature| -> Vec<Name> {
        signature.names.iter().filter(|name| EXACT.contains(&name.kind)).cloned().collect()
    };
    exact(left).iter().any(|name| right.names.iter().any(|other| agree(name, other)) || mentions(right, name))
        || exact(right).iter().any(|name| mentions(left, name))
}

/// Why two complaints are, or are not, taken for one matter: in Chinese, for a clerk.
pub fn explain(comparison: &Comparison, vocabulary: &Vocabulary) -> (Vec<String>, Vec<String>) {
    let mut signs = Vec::new();
    if comparison.same_person {
        signs.push("同一诉求人（电话、邮箱或账号相同）".to_owned());
    }
    if comparison.same_name {
        signs.push("诉求人姓名相同".to_owned());
    }
    if !comparison.names.is_empty() {
        signs.push(format!("对象一致：{}", comparison.names.join("、")));
    }
    if !comparison.topics.is_empty() {
        let topics: Vec<&str> = comparison.topics.iter().map(|topic| vocabulary.topic(*topic)).collect();
        signs.push(format!("问题一致：{}", topics.join("、")));
    }
    signs.push(format!(
        "标题用词有{:.0}%见于对方（反之{:.0}%），全文用词相似{:.0}%",
        comparison.title_most * 100.0,
        comparison.title_least * 100.0,
        comparison.wording * 100.0
    ));
    let mut against: Vec<String> = comparison
        .conflicts
        .iter()
        .map(|conflict| match conflict {
            Conflict::Name(kind, one, other) => format!("{}不同：{one}／{other}", kind.chinese()),
            Conflict::Unit(kind, one, other) => {
                format!("{}不同：{one}{suffix}／{other}{suffix}", kind.chinese(), suffix = kind.suffix())
            }
        })
        .collect();
    if comparison.other_topic {
        against.push("标题所说的问题不同".to_owned());
    }
    (signs, against)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::ShownComplaint;

    /// Two complaints by two people: whether they are taken for one matter, and what stood against it.
    fn judge(left: (&str, &str), right: (&str, &str)) -> (Standing, Vec<String>, f32) {
        let vocabulary = Vocabulary::shipped().unwrap();
        let signature = |(subject, body): (&str, &str)| {
            let shown = ShownComplaint {
                subject: Some(subject.to_owned()),
                body: body.to_owned(),
                ..ShownComplaint::default()
            };
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
                (
                    "强烈要求搬走搅拌站",
                    "我是翠湖豪庭的业主，小区百米内违建大型搅拌站，粉尘和噪音让人无法生活，请查处。",
                ),
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
                format!(
                    "{subject}，二十四小时经营，多次反映没有结果，物业说管不了，城管来了就收走了又摆，请相关部门处理。"
                )
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
}
