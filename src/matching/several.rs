//! Whether one text asks for several things, each of which deserves a ticket of its own.

use std::collections::HashSet;

use super::{reader::chinese_digit, vocabulary::Vocabulary};
use crate::assess::text::normal;

/// Items of a list that are looked at.
const ITEM_LIMIT: usize = 20;

/// Whether a text lists requests about different things (一、…二、…): one ticket each would serve them better.
pub(super) fn several(body: &str, vocabulary: &Vocabulary) -> bool {
    let mut items: Vec<HashSet<u32>> = Vec::new();
    let mut current = String::new();
    let mut listed = false;
    for line in body.split(['\n', '。', '；', ';', '！', '!']).take(200) {
        let line = line.trim();
        if starts_item(line) {
            if listed {
                items.push(topics(&current, vocabulary));
            }
            listed = true;
            current.clear();
        }
        if listed {
            current.push_str(line);
            current.push('。');
        }
        if items.len() == ITEM_LIMIT {
            break;
        }
    }
    if listed {
        items.push(topics(&current, vocabulary));
    }
    items.retain(|topics| !topics.is_empty());
    let disjoint =
        items.iter().enumerate().all(|(index, item)| items[..index].iter().all(|other| item.is_disjoint(other)));
    items.len() >= 2 && disjoint
}

fn starts_item(line: &str) -> bool {
    const ALSO: [&str; 5] = ["另外还有", "还有一件事", "再反映一", "另一件事", "第二件事"];
    let mut characters = line.trim_start_matches(['(', '（', '第']).chars();
    let numbered = characters.next().is_some_and(|one| one.is_ascii_digit() || chinese_digit(one).is_some())
        && characters
            .find(|one| !one.is_ascii_digit() && chinese_digit(*one).is_none())
            .is_some_and(|after| matches!(after, '、' | '.' | '．' | ')' | '）' | '是' | ',' | '，'));
    numbered || ALSO.iter().any(|words| line.starts_with(words))
}

fn topics(text: &str, vocabulary: &Vocabulary) -> HashSet<u32> {
    vocabulary.topics.find(&normal(text)).map(|(_, _, meaning)| meaning.field).collect()
}
