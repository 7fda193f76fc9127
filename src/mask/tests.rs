use proptest::prelude::*;

use super::*;

fn nobody() -> Petitioner {
    Petitioner::default()
}

fn masked(text: &str) -> String {
    mask(text, &nobody()).text
}

#[test]
fn personal_numbers_are_masked_and_others_stay() {
    for (text, expected) in [
        ("电话13800001234请回电", "电话[手机号]请回电"),
        ("＋８６１３８００００１２３４", "[手机号]"),
        ("+86 138-0000-1234。", "[手机号]。"),
        ("0086 13800001234", "[手机号]"),
        ("8613800001234", "[手机号]"),
        ("138 0000 1234", "[手机号]"),
        ("1 3 8 0 0 0 0 1 2 3 4", "[手机号]"),
        ("一三八零零零零一二三四打给我", "[手机号]打给我"),
        ("座机0419-2123456", "座机[电话]"),
        ("（0419）2123456", "[电话]"),
        ("024-23456789-801", "[电话]"),
        ("04192123456", "[电话]"),
        ("联系电话：2123456", "联系电话：[电话]"),
        ("身份证21100319900307123X号", "身份证[身份证号]号"),
        ("卡号6222020200112233445", "卡号[银行卡号]"),
        ("邮箱zhang.san_1@163.com，", "邮箱[邮箱]，"),
        ("ＺＨＡＮＧ＠１６３．ｃｏｍ", "[邮箱]"),
        ("辽K12345停在门口", "[车牌]停在门口"),
        ("辽K·D12345挡路", "[车牌]挡路"),
        ("辽k1234学", "[车牌]"),
        // What must stay.
        ("打12345、110、120、119都没用", "打12345、110、120、119都没用"),
        ("订单20191380000123412345号", "订单20191380000123412345号"),
        ("工单 261123-000123-4", "工单 261123-000123-4"),
        ("2019年12月31日交了138000元", "2019年12月31日交了138000元"),
        ("2019-2020年度，3-5号楼", "2019-2020年度，3-5号楼"),
        ("400-810-8888", "400-810-8888"),
        ("新A区B12栋", "新A区B12栋"),
    ] {
        assert_eq!(masked(text), expected, "{text}");
    }
}

#[test]
fn identity_numbers_need_their_check_character() {
    // 21100319900307 012, made for this test; the check character is computed below.
    let body = "21100319900307012";
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.bytes().zip(weights).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    let check = char::from(b"10X98765432"[(sum % 11) as usize]);
    assert_eq!(masked(&format!("号{body}{check}，")), "号[身份证号]，");
    let wrong = if check == '7' { '8' } else { '7' };
    assert_eq!(masked(&format!("号{body}{wrong}，")), format!("号{body}{wrong}，"));
    assert_eq!(masked(&format!("我的身份证号：{body}{wrong}，")), "我的身份证号：[身份证号]，");
    assert_eq!(masked("旧证211003650307012"), "旧证[身份证号]");
    assert_eq!(masked("11010519491231002X"), "[身份证号]");
    assert_eq!(masked("110105 19491231 002x"), "[身份证号]");
}

#[test]
fn introductions_are_masked_and_the_accused_are_not() {
    for (text, expected) in [
        ("我叫张三丰，家住白塔区", "我叫[姓名]，家住白塔区"),
        ("我叫李四家住白塔区", "我叫[姓名]家住白塔区"),
        ("我是王小明，电话没人接", "我是[姓名]，电话没人接"),
        ("联系人：王XX 电话", "联系人：[姓名] 电话"),
        ("姓名：欧阳修文", "姓名：[姓名]"),
        ("联系人:赵先生", "联系人:[姓名]"),
        ("我叫张某。", "我叫[姓名]。"),
        ("举报人：张三丰、李四、王小明。", "举报人：[姓名]、[姓名]、[姓名]。"),
        ("本人李四，男，五十岁", "本人[姓名]，男，五十岁"),
        ("本人是家里的主要劳动力", "本人是家里的主要劳动力"),
        ("联系人：张三，路灯不亮", "联系人：[姓名]，路灯不亮"),
        ("被投诉人：李四", "被投诉人：李四"),
        ("我是一名业主，电话打不通", "我是一名业主，电话打不通"),
        ("我叫了好几次物业", "我叫了好几次物业"),
        ("投诉人员太多", "投诉人员太多"),
        ("申请人才补贴", "申请人才补贴"),
    ] {
        assert_eq!(masked(text), expected, "{text}");
    }
}

#[test]
fn what_is_known_is_masked_wherever_it_stands() {
    let known = Petitioner {
        name: Some("孙悟".to_owned()),
        phones: vec!["2123456".to_owned(), "+1 650 253 0000".to_owned()],
        emails: vec!["x@localhost".to_owned()],
        address: Some("辽阳市白塔区幸福小区3号楼2单元501室".to_owned()),
        ip: Some("10.1.2.3".to_owned()),
        organisation: Some("辽阳某某商贸有限公司".to_owned()),
        ..Petitioner::default()
    };
    let text = "孙悟反映：幸福小区3号楼2单元501室暖气不热，回2123456或x@localhost，+1 650 253 0000。辽阳某某商贸有限公司 10.1.2.3";
    assert_eq!(mask(text, &known).text, "[姓名]反映：幸福小区[门牌]暖气不热，回[电话]或[邮箱]，[电话]。[单位] [IP]");
    assert_eq!(mask(text, &known).count, 7);
    let vague = Petitioner { name: Some("市民".to_owned()), ..Petitioner::default() };
    assert_eq!(mask("市民广场", &vague).text, "市民广场");
}

#[test]
fn hostile_input_takes_linear_time() {
    let started = std::time::Instant::now();
    for unit in
        ["1", "1 ", "138-", "@", "a@", "a.@b", "我叫", "联系人：", "辽K", "一三八", "0419-", "身份证1", "[手机号]"]
    {
        let text = unit.repeat(200_000);
        assert!(mask(&text, &nobody()).text.len() <= text.len() * 8);
    }
    let known =
        Petitioner {
            name: Some("啊啊".to_owned()), address: Some("啊啊啊啊".to_owned()), ..Petitioner::default()
        };
    assert!(mask(&"啊".repeat(200_000), &known).count > 0);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn telephone_numbers_have_one_form() {
    for (text, expected) in [
        ("13800001234", Some("13800001234")),
        ("+86 138-0000-1234", Some("13800001234")),
        ("0086-13800001234", Some("13800001234")),
        ("013800001234", Some("13800001234")),
        ("１３８００００１２３４", Some("13800001234")),
        ("tel:+8613800001234", Some("13800001234")),
        ("(0419)2123456", Some("04192123456")),
        ("0419-2123456-801", Some("04192123456")),
        ("0419-2123456转801", Some("04192123456")),
        ("+86 419 2123456", Some("04192123456")),
        ("024 2345 6789", Some("02423456789")),
        ("+1 650 253 0000", Some("+16502530000")),
        ("2123456", None),
        ("138****1234", None),
        ("匿名", None),
        ("anonymous", None),
        ("12345", None),
        ("", None),
    ] {
        assert_eq!(canonical_phone(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn mail_addresses_have_one_form() {
    for (text, expected) in [
        ("Zhang.San@163.COM", Some("zhang.san@163.com")),
        (" 张三 <zhang@qq.com> ", Some("zhang@qq.com")),
        ("mailto:zhang@qq.com", Some("zhang@qq.com")),
        ("ｚｈａｎｇ＠qq．com", Some("zhang@qq.com")),
        ("zhang", None),
        ("a b@qq.com", None),
        ("@qq.com", None),
        ("a@qq", None),
    ] {
        assert_eq!(canonical_email(text).as_deref(), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn masking_never_panics_and_is_idempotent(text in any::<String>()) {
        let once = masked(&text);
        prop_assert_eq!(masked(&once), once);
    }

    #[test]
    fn masking_is_idempotent_on_likely_text(text in "([0-9０-９]{1,12}|[ \\-()@.xX：:,，。\\[\\]]|身份证|电话|联系电话|我叫|我是|姓名|联系人|张三|王|辽K|一三八|a@b.com|手机号|家住|男){0,24}") {
        let once = masked(&text);
        prop_assert_eq!(masked(&once), once);
    }

    #[test]
    fn no_mobile_survives(before in "[\\u{4e00}-\\u{4e50}，。 a-z]{0,10}", number in "1[3-9][0-9]{9}", after in "[\\u{4e00}-\\u{4e50}，。a-z]{0,10}") {
        let shown = masked(&format!("{before}{number}{after}"));
        prop_assert!(!shown.contains(&number), "{}", shown);
    }

    #[test]
    fn no_identity_number_survives(region in "21100[2-5]", year in 1940_u32..2015, month in 1_u32..=12, day in 1_u32..=28, serial in 0_u32..1000, joined in "[ ，号]?") {
        let body = format!("{region}{year}{month:02}{day:02}{serial:03}");
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
        let sum: u32 = body.bytes().zip(weights).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
        let number = format!("{body}{}", char::from(b"10X98765432"[(sum % 11) as usize]));
        let shown = masked(&format!("我的证件{joined}{number}{joined}请核实"));
        prop_assert!(!shown.contains(&body), "{}", shown);
    }

    #[test]
    fn canonical_forms_are_stable(text in any::<String>(), digits in "[0-9+() -]{0,16}") {
        for text in [text, digits] {
            if let Some(phone) = canonical_phone(&text) {
                prop_assert_eq!(canonical_phone(&phone), Some(phone));
            }
            if let Some(email) = canonical_email(&text) {
                prop_assert_eq!(canonical_email(&email), Some(email));
            }
        }
    }
}
