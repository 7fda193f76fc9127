//! Whether one text asks for several things, each of which deserves a ticket of its own.
//!
//! A list is no proof: citizens number reasons, dates, laws and failures of one matter. What counts is that its parts are
//! about different fields, and that nothing says that they are reasons.

use super::{reader::chinese_digit, signature::sorted, vocabulary::Vocabulary};
use crate::assess::text::normal;

/// Parts of one text that are looked at.
const PART_LIMIT: usize = 20;
/// Sentences of one text that are looked at.
const SENTENCE_LIMIT: usize = 200;

/// Characters of a text in which a list is one of requests; longer letters number what belongs to one story.
const LETTER: usize = 500;
/// Characters before a list: whoever tells more is telling one story.
const LEAD_LIMIT: usize = 80;
/// Characters of a text in which "besides" begins another request; in longer ones it goes on with the same.
const SHORT: usize = 300;

/// Beginnings of a sentence that speaks of something else.
const ALSO: [&str; 18] = [
    "另外",
    "此外",
    "还有",
    "再有",
    "再就是",
    "再一个",
    "顺便",
    "同时还",
    "同时",
    "另一件",
    "第二件",
    "另有一",
    "再反映",
    "还想",
    "也想",
    "其次",
    "再者",
    "二来",
];
/// Words of a text that gives reasons, facts or law rather than requests.
const REASONS: [&str; 18] = [
    "理由如下",
    "以下理由",
    "理由是",
    "原因如下",
    "依据",
    "基本情况",
    "事实与",
    "事实如下",
    "违反了",
    "条规定",
    "条的规定",
    "质疑",
    "事件经过",
    "经过如下",
    "证据",
    "表现在",
    "具体如下",
    "违法事实",
];
/// Words of a part that asks, where it tells no trouble.
const ASKS: [&str; 12] = ["请", "问", "希望", "怎么", "如何", "吗", "建议", "咨询", "何时", "能否", "要求", "哪里"];
/// Beginnings of a part that is a field of a form.
const LABELS: [&str; 10] = ["地点", "时间", "事件", "诉求", "姓名", "被投诉", "投诉人", "被举报", "联系", "地址"];

/// The fields of the different things that a text asks for, none where it asks for one.
pub(super) fn several(title: &str, body: &str, vocabulary: &Vocabulary) -> Vec<u32> {
    let mut parts: Vec<Vec<u32>> = Vec::new();
    if body.chars().nth(LETTER).is_some() || REASONS.iter().any(|word| body.contains(word)) {
        return Vec::new();
    }
    for text in parts_of(body) {
        let (told, about) = fields(&text, vocabulary);
        if about.is_empty() || !told && !ASKS.iter().any(|word| text.contains(word)) {
            continue;
        }
        // Parts that share a field are about one thing.
        let (mut together, apart): (Vec<Vec<u32>>, Vec<Vec<u32>>) =
            parts.into_iter().partition(|part| part.iter().any(|field| about.contains(field)));
        together.push(about);
        parts = apart;
        parts.push(sorted(together.concat()));
    }
    let (_, titled) = fields(title, vocabulary);
    // What the title asks for and no part is about is the one request; the parts are its reasons.
    if !titled.is_empty() && !parts.iter().flatten().any(|field| titled.contains(field)) {
        return Vec::new();
    }
    if parts.len() < 2 { Vec::new() } else { parts.iter().filter_map(|part| part.first().copied()).collect() }
}

/// A text in its parts: at numbers of a list, and where something else begins.
fn parts_of(body: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let (mut current, mut listed) = (String::new(), false);
    let short = body.chars().nth(SHORT).is_none();
    for sentence in body.split(['\n', '。', '；', ';', '！', '!', '？', '?']).take(SENTENCE_LIMIT) {
        let sentence = sentence.trim();
        let numbered = is_numbered(sentence);
        if numbered || short && ALSO.iter().any(|words| sentence.starts_with(words)) {
            if numbered && !listed && current.chars().nth(LEAD_LIMIT).is_some() {
                return Vec::new();
            }
            // What stands before a list introduces it; what stands before "besides" is a part.
            if (listed || !numbered) && !current.is_empty() {
                parts.push(std::mem::take(&mut current));
            }
            current.clear();
            listed = true;
        }
        let told = sentence.trim_start_matches(|one: char| {
            one.is_ascii_digit()
                || chinese_digit(one).is_some()
                || matches!(one, '(' | '（' | '第' | '、' | '.' | '．' | ')' | '）')
        });
        if !LABELS.iter().any(|label| told.starts_with(label)) {
            current.push_str(sentence);
            current.push('。');
        }
        if parts.len() == PART_LIMIT {
            return parts;
        }
    }
    if listed && !current.is_empty() {
        parts.push(current);
    }
    parts
}

fn is_numbered(sentence: &str) -> bool {
    let mut characters = sentence.trim_start_matches(['(', '（', '第']).chars();
    characters.next().is_some_and(|one| one.is_ascii_digit() || chinese_digit(one).is_some())
        && characters
            .find(|one| !one.is_ascii_digit() && chinese_digit(*one).is_none())
            .is_some_and(|after| matches!(after, '、' | '.' | '．' | ')' | '）' | '是' | ',' | '，' | '：' | ':'))
}

/// Fields that a text tells a trouble of; where it tells none, those that it names. And whether it tells any.
fn fields(text: &str, vocabulary: &Vocabulary) -> (bool, Vec<u32>) {
    let text = normal(text);
    let found: Vec<_> = vocabulary.topics.find(&text).map(|(_, _, meaning)| meaning).collect();
    let troubles: Vec<u32> =
        found.iter().filter(|meaning| meaning.trouble.is_some()).map(|meaning| meaning.field).collect();
    let told = !troubles.is_empty();
    (told, sorted(if told { troubles } else { found.iter().map(|meaning| meaning.field).collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Title, text, how many things it asks for.
    const CASES: [(&str, &str, usize); 42] = [
        ("两件事", "一、小区电梯经常困人。二、楼下烧烤店油烟扰民。", 2),
        ("小区问题", "1、路灯坏了半年没人修。2、下水道堵塞，污水流到路上。3、垃圾箱一个星期没人清运。", 3),
        ("电梯困人", "锦绣花园3号楼电梯又困人了，请尽快维修。另外，小区门口的路灯不亮，老人摔倒了。", 2),
        ("咨询", "请问异地就医怎么报销？还有，老年乘车卡在哪里办？", 2),
        ("反映几个问题", "（1）暖气不热，室温只有十四度。（2）楼上装修噪音，周末六点就砸墙。", 2),
        ("公交和路灯", "14路公交车间隔太长，上班迟到。此外，新村街路灯不亮，请维修。", 2),
        ("村里的事", "第一，村路全是泥，请铺水泥。第二，村账不公开，请查账。", 2),
        ("停水", "民主小区从早上停水。还想咨询一下，低保申请需要什么材料？", 2),
        ("工资", "工地拖欠工资三个月。另外工地夜间施工到凌晨，吵得睡不着。", 2),
        ("请解决", "一是小区停车位不够，二是消防通道被占。\n1.车位不够，晚上没处停。\n2.电梯坏了没人修。", 3),
        ("房产证", "买房六年没有房产证。再有，车库一下雨就积水，车泡了。", 2),
        ("学校", "三中违规补课。同时，校门口没有红绿灯，孩子过马路危险。", 2),
        ("河和狗", "1，小祁家河有厂子排污，鱼都死了。2，村里野狗成群，咬了孩子。", 2),
        ("两个建议", "第一条建议：增设充电桩。第二条建议：公园公厕没人打扫。\n1、充电桩不够。\n2、厕所脏。", 2),
        ("反映", "楼顶漏雨，墙皮掉了。顺便问一下，公积金怎么提取？", 2),
        ("小区", "其一不说了。1、楼上往下扔酒瓶。2、单元门关不上。", 2),
        ("投诉", "快递丢件不赔。再反映一个事，楼下棋牌室打麻将到半夜。", 2),
        ("请修路", "工业大道有个大坑。还有就是井盖丢了，用树枝插着。", 2),
        ("燃气和宽带", "（一）小区两年没通天然气。（二）宽带断了一周没人来修。", 2),
        ("问题", "1.物业费涨价没有公示。2.广场舞音响太大。3.物业费乱收。", 2),
        ("身份证与社保", "社保卡激活不了。另一件事，结婚登记能不能跨省办？", 2),
        ("供暖", "一、暖气不热。二、供热公司不上门测室温。", 1),
        ("停车", "车位被占。", 1),
        ("暖气不热", "暖气不热，室温十四度。另外供热公司不退取暖费。", 1),
        ("电梯困人", "1、1月3日电梯困人。2、2月5日电梯又停在半空。3、3月电梯坏了没人修。", 1),
        ("投诉油烟", "1、地点：锦绣花园楼下。2、时间：每天晚上。3、事件：烧烤店油烟扰民。", 1),
        ("反对建加油站", "理由如下：一、离小区太近，有火灾隐患。二、污染水质。三、噪音扰民。", 1),
        ("变压器离楼太近", "违反了以下规定：1、住宅设计规范。2、消防条例。3、环保规定，噪音超标。", 1),
        ("恳请纳入老旧小区改造", "一、小区路灯不亮。二、下水道堵塞。三、没有停车位。", 1),
        ("拖欠工资", "在工地干了三个月，拖欠工资。还有十二个工友也没给工资。", 1),
        ("房产证办不下来", "1、契税交了。2、维修基金交了。3、房产证还是办不了。", 1),
        ("楼上漏水", "楼上漏水，把吊顶泡坏了。同时物业不管，多次推诿。", 1),
        ("公交", "14路公交车间隔太长。还有，早高峰挤不上去。", 1),
        ("狗咬人", "邻居的狗咬了孩子，打了五针疫苗。另外他家的狗从不拴绳。", 1),
        ("低保申请被退", "申请低保被退回。其次，社区说儿子有车，可低保政策不是这样。", 1),
        ("咨询医保", "请问医保怎么报销？还有，异地就医要不要备案？", 1),
        ("停电", "小区一晚停三次电。此外冰箱也烧坏了，变压器容量不够。", 1),
        ("开发商虚假宣传", "具体如下：1、承诺的幼儿园没有。2、承诺的停车位不够。3、绿化面积缩水。", 1),
        ("河道污染", "3月以来，小祁家河发黑。5月，鱼都死了。请环保部门追查排污口。", 1),
        ("诉求", "诉求：1、立即停止夜间施工。2、公布夜间施工许可。3、处罚工地施工单位。", 1),
        ("供水", "1.5公里的水管漏水，浪费了很多自来水，请维修。", 1),
        ("感谢信", "感谢社区工作人员。另外祝大家工作顺利。", 1),
    ];

    #[test]
    fn what_asks_for_several_things_is_told_from_a_list_of_reasons() {
        let vocabulary = Vocabulary::shipped().unwrap();
        let mut wrong = Vec::new();
        for (title, body, expected) in CASES {
            let found = several(title, body, &vocabulary);
            if found.len().max(1) != expected {
                let names: Vec<&str> = found.iter().map(|field| vocabulary.topic(*field)).collect();
                wrong.push(format!("{title} | {body}: {names:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
