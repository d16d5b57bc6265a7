//! The words in simplified Chinese, as `docs/operations/*.zh-CN.md` has them.

use axum::http::StatusCode;

use super::{DeadLetterWords, HomeWords, Mark, OrderWords, PageWords, TimelineWords, Words, thousands};
use crate::payment::{Conflict, Status};
use crate::runtime::Component;
use crate::telemetry::Transport;

pub(in crate::operators) const CHINESE: Words =
    Words { tag: "zh-CN", page: PAGE, home: HOME, order: ORDER, dead_letters: DEAD_LETTERS, timeline: TIMELINE };

const PAGE: PageWords = PageWords {
    skip: "跳到正文",
    node_title: "本节点的名称",
    sections: "页面导航",
    health: "健康状况",
    orders: "订单",
    dead_letters: "死信",
    in_utc: "时间均为 UTC",
    as_of: |clock| format!("截至 {clock}"),
    live: "实时更新中",
    not_live: "已停止更新：节点没有应答",
    find_an_order: "查找订单",
    merchant: "商户（可不填）",
    order_number: "订单号",
    number: "订单号或交易单号",
    find: "查找",
    health_of_node: "本节点的健康状况",
    open: |path| format!("打开 {path}"),
    status: |status| match status {
        StatusCode::BAD_REQUEST => "请求有误",
        StatusCode::UNAUTHORIZED => "需要登录",
        StatusCode::FORBIDDEN => "禁止访问",
        StatusCode::NOT_FOUND => "未找到",
        StatusCode::CONFLICT => "无法执行",
        StatusCode::MISDIRECTED_REQUEST => "主机名不受支持",
        StatusCode::TOO_MANY_REQUESTS => "请求过于频繁",
        StatusCode::SERVICE_UNAVAILABLE => "暂时不可用",
        _ => "出错了",
    },
    problem: |code, _detail| {
        match code {
            "bad_request" => "请求有误。请检查商户和号码：商户最多 64 个字符，号码最多 128 字节，不能含控制字符。",
            "unknown_order" => "没有使用这个号码的订单，也没有事件带有这个交易单号。未填写商户时，可填写后再试。",
            "unauthorized" => "缺少运维令牌，或令牌错误。",
            "rate_limited" => "该地址的错误令牌过多，请稍后再试。",
            "unknown_host" => "未设置 admin.token 时，只应答 localhost 和 IP 地址。",
            "cross_site" => "该请求来自其他网站，请从运维页面进入。",
            "unknown_dead_letter" => "没有这条死信，它可能已被重放或丢弃。",
            "failed_again" => "上次重放后因同样的原因再次失败，已保留。如需再次重放，请在确认页中勾选。",
            "bad_for_good" => "消息本身有误，重放后还会成为死信，已保留。请让发布方重新正确发布，再丢弃这一条。",
            "not_published" => "未能发布，死信已保留。",
            "not_confirmed" => "此操作需要确认。",
            "broker_unavailable" => "无法通过 RabbitMQ 读取死信。",
            "unavailable" => "暂时不可用，请稍后再试。",
            _ => "请求未能完成。",
        }
        .to_owned()
    },
    shows_detail: |code| matches!(code, "not_published" | "broker_unavailable"),
    messages_ready: |n| format!("{} 条消息待处理", thousands(n)),
};

const HOME: HomeWords = HomeWords {
    ready: "就绪",
    not_ready: "未就绪",
    ready_means: "支付结果正从 RabbitMQ 接收、落盘，并推送给等待中的页面。",
    consequence: |component| match component {
        Component::Broker => {
            "未连接到 RabbitMQ，或其交换机和队列与配置不符。结果在 RabbitMQ 中等待；页面仍可得到已落盘的状态。"
        }
        Component::Consumer => "没有从队列接收结果，或结果在等待存储。不会丢失。",
        Component::Store => "支付记录无法读写。不会向 RabbitMQ 确认，因此不会丢失。",
        Component::Node => "进程正在启动或停机。",
    },
    lag: "积压",
    waiting_in: "等待于 ",
    events_per_s: "每秒事件数",
    rates: |of_60_s| format!("近 10 秒均值；近 60 秒 {of_60_s}"),
    arrival_to_page: "从到达到页面，p99",
    percentiles: |p50, pages, window_s| {
        let window = if window_s >= 60 { format!("{} 分钟", window_s / 60) } else { format!("{window_s} 秒") };
        format!("p50 {p50}；近 {window}推送到 {} 个页面", thousands(pages))
    },
    pages_waiting: "等待中的页面",
    on_this_node: "本节点",
    outbox: "发件箱",
    outbox_means: "尚未发出的商户消息",
    none_wait: "没有待处理的死信",
    look_at_them: "查看",
    flag: "请留意",
    transport: |transport| match transport {
        Transport::WebSocket => "WebSocket",
        Transport::Sse => "事件流",
        Transport::LongPoll => "长轮询",
        Transport::Poll => "轮询",
    },
    no_dead_letters: "没有：所有结果均已解析，或已处置。",
    as_looked_at: |clock| format!("读取于 {clock}"),
    put_aside: "本节点启动以来转入的死信；",
    look: "读取",
    at_those_that_wait: "仍在队列中的死信",
    this_node: "本节点",
    name: "名称",
    version: "版本",
    store: "存储",
    works: "正常",
    does_not_work: "不可用",
    queue: "队列",
    curve: |seconds, most| format!("最近 {seconds} 秒每秒的事件数，最多 {most:.0}"),
};

const ORDER: OrderWords = OrderWords {
    title: "订单",
    where_is_an_order: "订单在哪里？",
    not_by_browser: "浏览器无法查询这个名称的订单",
    another: "查询其他订单",
    several: "有多个订单使用这个号码",
    maybe_more: "可能还有更多，请填写商户。",
    recent: "最近的订单",
    none_yet: "还没有任何订单的事件到达。",
    without_result: "尚无结果",
    unknown: "没有这个订单的任何记录。",
    unknown_means: "没有结果到达，也没有页面等待过。商户是否填写正确？",
    order_of: |merchant_id| format!("商户 {merchant_id} 的订单"),
    no_timeline: ["没有该订单的时间线：未启用时间线，或已超过 ", "。"],
    no_result: "尚无结果到达。",
    no_result_means: "支付系统还没有发布该订单的结果，或结果已转入死信。",
    status: |status, is_final| {
        let status = match status {
            Status::Pending => "待支付",
            Status::RequiresAction => "待用户操作",
            Status::Processing => "处理中",
            Status::Authorized => "已授权",
            Status::Succeeded => "支付成功",
            Status::Failed => "支付失败",
            Status::Canceled => "已取消",
            Status::Expired => "已过期",
        };
        format!("{status}，{}。", if is_final { "最终结果" } else { "尚未最终确定" })
    },
    page_has_shown_it: "页面已确认展示。",
    page_has_shown_version: |version| format!("页面只确认展示过版本 {version}，没有确认当前版本。"),
    sent_and_not_acknowledged: "已推送到页面，但没有页面确认展示。",
    not_acknowledged: "没有页面确认展示。",
    merchant_was_told: "已通知商户：",
    full_stop: "。",
    conflict: "冲突。",
    conflict_means: "该订单的事件相互矛盾，以优先级高的为准。请向支付渠道核实。",
    paid_twice: "重复付款。",
    paid_twice_means: "付款人被重复扣款，请退款。各笔扣款：",
    amount: "金额",
    provider: "支付渠道",
    occurred_at: "发生时间",
    refund: "退款",
    reason: "原因",
    clocks_of_nodes: "时间为 UTC，取自写入该条目的节点的时钟",
    clock_of: "时间为 UTC，取自节点的时钟：",
    latest_entries: |n| format!("；仅含最近 {n} 条"),
    time: "时间",
    since_the_first: "距首条",
    what: "内容",
    node: "节点",
};

const DEAD_LETTERS: DeadLetterWords = DeadLetterWords {
    look_again: "重新读取",
    look_costs: "每条死信都是一个未被应用的支付结果。读取时会取出每条消息再放回，RabbitMQ 会各计一次投递，因此本页只在你要求时读取。",
    not_known_yet: "尚不知道有多少死信在等待。",
    none_waits: "没有死信。",
    wait: |n| format!("队列中有 {n} 条。"),
    looked_at: |clock, in_queue, looked_at| {
        let part = looked_at.map(|n| format!("，读取了其中 {n} 条")).unwrap_or_default();
        format!("读取于 {clock}：{} 条消息{part}。", thousands(in_queue))
    },
    by_reason: "按原因汇总",
    filter: "筛选",
    reason: "原因",
    any: "不限",
    none_selected: "没有符合筛选条件的死信。",
    first_of: |shown, of| format!("共 {of} 条，显示前 {shown} 条。"),
    no_more_than: |n| format!("这里最多保留 {n} 条，查看更多请用 "),
    shows_more: "。",
    order: "订单 ",
    replays: |n, failed_again| format!("已重放 {n} 次{}", if failed_again { "，再次失败" } else { "" }),
    all: "全部死信",
    dead_letter: "死信",
    replay_step: "重放…",
    show_body: "显示消息体",
    body_warning: "其中可能含有付款人的隐私",
    properties: "属性",
    headers: "消息头",
    body: "消息体",
    body_base64: "消息体，base64",
    members: [
        "原因",
        "错误",
        "订单号",
        "转入死信的时间",
        "重放次数",
        "历史",
        "交换机",
        "路由键",
        "消息体字节数",
        "投递次数",
    ],
    replay_title: "重放？",
    replay_question: "重放这条死信？",
    replay_means: "消息会以最初的路由键重新发布到结果交换机，RabbitMQ 确认后从死信中移除。如果仍然有误，它会再次成为死信。\
        绑定到该交换机的其他队列也会收到。",
    replay_again: "上次重放后因同样的原因再次失败。仍然重放。",
    replay: |id| format!("重放 {id}"),
    no: "不，返回",
    replayed: "已重放",
    was_published: ["死信 ", " 已重新发布到结果交换机并得到确认，现已移除。"],
    shows_in_order: "这次能否解析，请看该订单的时间线；如果仍然有误，它会再次出现在死信中。",
    bad_for_good: "重放无济于事：消息本身有误，重放后还会回到这里。请让发布方重新正确发布，再丢弃这一条。",
    discard_step: "丢弃…",
    discard_title: "丢弃？",
    discard_question: "丢弃这条死信？",
    discard_means: "死信将被永久删除，消息体不会在别处保留。",
    discard: |id| format!("丢弃 {id}"),
    discarded: "已丢弃",
    was_discarded: ["死信 ", " 已永久删除。"],
};

const TIMELINE: TimelineWords = TimelineWords {
    title: "订单时间线",
    lanes: ["到达", "推送", "确认", "商户事件"],
    caption: "时间自上而下。虚线表示一秒以上的间隔，不按比例。",
    latest_of: |drawn, of| format!("共 {of} 条，显示最近 {drawn} 条。"),
    mark: |mark| match mark {
        Mark::Applied | Mark::Pushed | Mark::Acknowledged => "",
        Mark::Duplicate => "重复",
        Mark::Stale => "过时",
        Mark::Refused => "拒绝",
        Mark::Conflict => "冲突",
        Mark::PaidTwice => "重复付款",
        Mark::Watched => "等待",
        Mark::Undelivered => "未送达",
        Mark::Inquired => "查询",
        Mark::Other => "其他",
    },
    arrived_label: "到达",
    conflict_label: "冲突",
    paid_twice_label: "重复付款",
    watched_label: "等待",
    pushed_label: "推送",
    acknowledged_label: "确认",
    undelivered_label: "未送达",
    inquired_label: "查询",
    dead_letter_label: "死信",
    other_label: "其他",
    redelivered: "，重新投递",
    applied: |status, event_id, again, version| {
        let version = version.map_or_else(String::new, |version| format!("为版本 {version}"));
        format!("{status}（事件 {event_id}{again}），已应用{version}")
    },
    duplicate: |status, event_id, again| format!("重复的事件 {event_id}（{status}{again}），无变化"),
    stale: |status, event_id, again| format!("过时的 {status}（事件 {event_id}{again}）：已有优先的事件，无变化"),
    id_reused: |status, event_id, again| format!("{status} 使用了另一事件的 id（{event_id}{again}），无变化"),
    other_outcome: |status, event_id, again, outcome| format!("{status}（事件 {event_id}{again}），{outcome}"),
    conflict: |kinds, event_id, claims| {
        let claims: String = claims.iter().map(|claim| format!("；{claim}")).collect();
        format!("{kinds}，来自事件 {event_id}：已发布 payment.conflict{claims}")
    },
    claim: |status, number, details| {
        let space = if number.is_empty() { "" } else { " " };
        format!("{status}{space}{number}（{}）", details.join("，"))
    },
    event: |id| format!("事件 {id}"),
    conflict_kind: |code, kind| {
        let meaning = match kind {
            None => "其他类型",
            Some(Conflict::FailedAndCanceled) => "既失败又取消",
            Some(Conflict::FailedAndExpired) => "既失败又过期",
            Some(Conflict::CanceledAndExpired) => "既取消又过期",
            Some(Conflict::FailedAfterSucceeded) => "失败晚于成功",
            Some(Conflict::CanceledAfterSucceeded) => "取消晚于成功",
            Some(Conflict::ExpiredAfterSucceeded) => "过期晚于成功",
            Some(Conflict::PaidTwice) => "重复扣款：请退款",
            Some(Conflict::AmountDiffers) => "同一笔支付有两个金额",
            Some(Conflict::AttemptsExceeded) => "支付尝试过多，不再逐一区分",
        };
        format!("{code}（{meaning}）")
    },
    page: |transport, connection| {
        let transport = match transport {
            "websocket" => " WebSocket",
            "sse" => "事件流",
            "long_poll" => "长轮询",
            "poll" => "轮询",
            other => return format!(" {other}（连接 {connection}）"),
        };
        format!("{transport}（连接 {connection}）")
    },
    version: |version| version.map_or_else(|| "某个版本".to_owned(), |version| format!("版本 {version}")),
    watched: |page, more_pages| match more_pages {
        0 => format!("页面开始等待，经由{page}"),
        more => format!("页面开始等待，经由{page}，此后又有 {more} 个"),
    },
    pushed: |version, page, after_ms| match after_ms {
        Some(ms) => format!("{version} 推送到页面，经由{page}，到达后 {ms} 毫秒"),
        None => format!("{version} 推送到页面，经由{page}，为页面连接时的状态"),
    },
    page_acknowledged: |version, page, after_ms| {
        let after = after_ms.map(|ms| format!("，到达后 {ms} 毫秒")).unwrap_or_default();
        format!("页面确认已展示{version}，经由{page}{after}")
    },
    undelivered: |version| format!("没有页面确认{version}：已发布 payment.undelivered"),
    inquired: |waited_s| format!("页面已等待 {waited_s} 秒仍无结果：已发布 payment.inquiry"),
    dead_lettered: |event_id, reason| format!("事件 {event_id} 已转入死信：{reason}"),
};
