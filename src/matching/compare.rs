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
    /// How many word pieces both have.
    pub shared: usize,
    /// Names that both have.
    pub names: Vec<String>,
    /// How much of the better contained title stands in the other complaint, names left out.
    pub title_beyond: f32,
    /// Topics that both have.
    pub topics: Vec<u32>,
    /// Those of them that both are chiefly about.
    pub subject: Vec<u32>,
    /// Whether a name that both have names one thing (an estate, a company), not a road or a town.
    pub exact: bool,
    /// Whether a road, a village or a number of an address is the same.
    pub located: bool,
    /// Numbers of an address that both have.
    pub units: usize,
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
    /// Another problem: what the one is chiefly about, and the other.
    Topic(u32, u32),
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

/// From here on, in words and beyond names, a complaint is a copy of another.
const COPY: f32 = 0.5;
/// What complaints must have in common besides names, from 0 to 1, the more the less is known of object and problem.
const SOME: f32 = 0.08;
const MORE: f32 = 0.12;
const MUCH: f32 = 0.20;
const MOST: f32 = 0.30;
/// From here on titles are told in the same words.
const TITLES: f32 = 0.45;
/// From here on titles and words together speak for one matter, where the object is one too.
const WORDS: f32 = 0.6;
/// So many word pieces are not alike by chance.
const LONG: usize = 60;
/// From here on complaints are shown beside each other.
const RELATED: f32 = 0.35;

impl Comparison {
    /// How alike titles and words are together.
    fn words(&self) -> f32 {
        0.5 * (self.title_most + self.title_least) + self.wording
    }

    /// Whether both have a trouble (井盖缺失), not only a field of them (下水).
    fn one_trouble(&self) -> bool {
        self.topics.iter().any(|id| id % 2 == 1)
    }

    /// Whether both are chiefly about one trouble.
    fn chief_trouble(&self) -> bool {
        self.subject.iter().any(|id| id % 2 == 1)
    }

    /// Whether the problem is one, given how well the object is known. One estate has many matters, and one flat too: that
    /// place or person agrees is never enough.
    fn one_problem(&self) -> bool {
        let title = self.title_beyond >= COPY;
        let words = self.words() >= WORDS;
        match self.object() {
            Object::Named => {
                self.chief_trouble()
                    || (self.one_trouble() && self.beyond >= MORE)
                    || (!self.subject.is_empty() && self.beyond >= MUCH)
                    || self.beyond >= MOST
                    || ((title || words) && self.beyond >= SOME)
            }
            Object::Loose => {
                (self.chief_trouble() && self.beyond >= SOME)
                    || (self.one_trouble() && self.beyond >= MUCH)
                    || self.beyond >= MOST
                    || ((title || words) && self.beyond >= MORE)
            }
            Object::Unknown => self.wording >= WORDS || (self.shared >= LONG && self.beyond >= MOST),
        }
    }

    /// Whether both come from one petitioner, as far as can be told: a name alone is no proof, an object must agree too.
    pub fn is_own(&self) -> bool {
        self.same_person || (self.same_name && self.exact)
    }

    /// What is known of the object of both.
    fn object(&self) -> Object {
        if self.exact {
            Object::Named
        } else if self.same_person || self.same_name || self.located {
            Object::Loose
        } else {
            Object::Unknown
        }
    }
}

/// How well two complaints agree on what they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    /// One estate, company, shop, park.
    Named,
    /// One road or village, or one petitioner.
    Loose,
    /// Neither: two citizens who ask the same have each a matter of their own.
    Unknown,
}

/// How complaints that compare like this stand to each other.
pub fn standing(comparison: &Comparison) -> Standing {
    if comparison.conflicts.is_empty() && comparison.one_problem() {
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
    let shared = left.grams.iter().filter(|gram| right.grams.binary_search(gram).is_ok()).count();
    let (beyond, title_beyond) = beyond_names(left, right, frequencies);
    let names = shared_names(left, right);
    let exact = shares_exact(left, right);
    let main = |signature: &Signature, id| signature.topics.iter().any(|topic| topic.head && topic.id == id);
    let topics: Vec<u32> = left
        .topics
        .iter()
        .filter(|topic| right.topics.iter().any(|other| other.id == topic.id))
        .map(|topic| topic.id)
        .collect();
    let subject = topics.iter().copied().filter(|id| main(left, *id) && main(right, *id)).collect();
    let units = left
        .units
        .iter()
        .filter(|unit| right.units.iter().any(|other| other.kind == unit.kind && other.text == unit.text))
        .count();
    let other_topic = other_trouble(left, right).is_some();
    let same_person = left.persons.iter().any(|person| right.persons.contains(person));
    let same_name = !same_person && left.namesake.is_some() && left.namesake == right.namesake;
    let title_most = left_title.max(right_title);
    let title_least = left_title.min(right_title);
    let mut conflicts = conflicts(left, right, !names.is_empty(), exact);
    // Who writes the same text again under another title means the same.
    let copies = wording >= COPY && beyond >= COPY;
    if !copies && !(title_least >= TITLES && beyond >= MUCH) {
        conflicts.extend(other_trouble(left, right));
    }
    let ranked = |signature: &Signature, text: &String| {
        signature.names.iter().any(|name| name.text == *text && name.kind != NameKind::Town)
    };
    let located = names.iter().any(|text| ranked(left, text) || ranked(right, text));
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
        title_beyond,
        shared,
        names,
        topics,
        subject,
        exact,
        located,
        units,
        other_topic,
        same_person,
        same_name,
        conflicts,
        score,
    }
}

/// How much of the shorter complaint stands in the longer, and of the better contained title in the other complaint, the
/// word pieces of both one's names left out.
fn beyond_names(left: &Signature, right: &Signature, frequencies: &Frequencies) -> (f32, f32) {
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
    let rest = |grams: &[u32]| -> Vec<u32> {
        grams.iter().copied().filter(|gram| named.binary_search(gram).is_err()).collect()
    };
    let part = |one: &[u32], other: &[u32], whole: f32| {
        if whole > 0.0 { (frequencies.shared(one, other) / whole).min(1.0) } else { 0.0 }
    };
    let (ours, theirs) = (rest(&left.grams), rest(&right.grams));
    let (our_title, their_title) = (rest(&left.head), rest(&right.head));
    let beyond = part(&ours, &theirs, frequencies.total(&ours).min(frequencies.total(&theirs)));
    let title = part(&our_title, &theirs, frequencies.total(&our_title))
        .max(part(&their_title, &ours, frequencies.total(&their_title)));
    (beyond, title)
}

fn in_title(signature: &Signature, topic: u32) -> bool {
    signature.topics.iter().any(|one| one.head && one.id == topic)
}

/// What each is chiefly about where neither's is anywhere in the other: first fields, then troubles of one field.
fn other_trouble(left: &Signature, right: &Signature) -> Option<Conflict> {
    [false, true].into_iter().find_map(|trouble| {
        let all = |signature: &Signature| -> HashSet<u32> {
            signature.topics.iter().filter(|topic| topic.is_trouble() == trouble).map(|topic| topic.id).collect()
        };
        let head = |signature: &Signature| -> Vec<u32> {
            let head = signature.topics.iter().filter(|topic| topic.head && topic.is_trouble() == trouble);
            head.map(|topic| topic.id).collect()
        };
        let (ours, theirs) = (head(left), head(right));
        let (one, other) = (*ours.first()?, *theirs.first()?);
        let (in_left, in_right) = (all(left), all(right));
        let apart = !ours.iter().any(|id| in_right.contains(id)) && !theirs.iter().any(|id| in_left.contains(id));
        apart.then_some(Conflict::Topic(one, other))
    })
}

/// Whether two names name the same: the ends of their cores agree.
fn agree(left: &Name, right: &Name) -> bool {
    let (one, other) = (left.core(), right.core());
    // 望京酒店 is 望京快捷酒店; but 锦绣花园 is not 锦绣东方花园.
    let business = matches!(left.kind, NameKind::Company | NameKind::Shop);
    if business && left.kind == right.kind && one.len().min(other.len()) >= 6 && (one.starts_with(other) || other.starts_with(one)) {
        return true;
    }
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

fn conflicts(left: &Signature, right: &Signature, share_names: bool, share_exact: bool) -> Vec<Conflict> {
    let mut found = Vec::new();
    for kind in [NameKind::Road, NameKind::Village, NameKind::Town, NameKind::Region].into_iter().chain(EXACT) {
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
        // Roads, villages, towns and districts are told loosely; where an estate or a company agrees they do not count.
        let exacting = kind == NameKind::Village || (EXACT.contains(&kind) && kind != NameKind::Place);
        let excused = if exacting { share_exact } else { share_names };
        if apart && !excused {
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

/// Whether both have a name that names one thing, and at least one of them in its title or place.
fn shares_exact(left: &Signature, right: &Signature) -> bool {
    let shares = |one: &Signature, other: &Signature| {
        one.names.iter().filter(|name| name.head && EXACT.contains(&name.kind)).any(|name| {
            other.names.iter().any(|known| EXACT.contains(&known.kind) && agree(name, known)) || mentions(other, name)
        })
    };
    shares(left, right) || shares(right, left)
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
            Conflict::Topic(one, other) => {
                format!("所说的问题不同：{}／{}", vocabulary.topic(*one), vocabulary.topic(*other))
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
