//! Why two complaints are, or are not, taken for one matter, in words.

use super::{compare::Comparison, conflict::Conflict, vocabulary::Vocabulary};

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
    let told = comparison.conflicts.iter().any(|conflict| matches!(conflict, Conflict::Topic(..)));
    if comparison.other_topic && !told {
        against.push("标题所说的问题不同".to_owned());
    }
    (signs, against)
}
