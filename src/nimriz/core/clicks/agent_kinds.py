"""The kind of an agent: a person's browser, or which sort of machine, from the user agent alone.

The rules ask what a person's browser looks like (`Mozilla/5.0 (a platform) engine tokens`) and what only machines
say, rather than for names: names are known after they have called. Measured in docs/decisions/0013-who-clicked.md.
"""

from __future__ import annotations

import re
from typing import Literal

from nimriz.core.clicks.crawlers import is_declared_crawler

Kind = Literal["browser", "crawler", "preview", "scanner", "library", "unknown"]

# Those who fetch a link because somebody has just shared it. Not a visit, but a sign that one may follow.
_PREVIEW = re.compile(
    r"slackbot|slack-img|facebookexternal|facebookcatalog|facebot|meta-externalhit|twitterbot|linkedinbot|whatsapp/"
    r"|telegrambot|discordbot|skypeuri|pinterest|redditbot|google-pagerenderer|/web/snippet|iframely|embedly|viber"
    r"|vkshare|bitlybot|tumblr|snapchat|line-?poker|kakaotalk|mastodon/|pleroma|misskey|lemmy|synapse|cardyb|bluesky"
    r"|microsoftpreview|bingpreview|previ?ew|unfurl|linkexpand|link expander|expander|onebox|oembed|flipboardproxy"
    r"|xing-content|page-?renderer|snippet|zoom ?bot|zoom\.mac|microsoft office|ms-office"
)
# Those who look into a link before the mail or the page that holds it is let through.
_SCANNER = re.compile(
    r"barracuda|mimecast|proofpoint|urldefense|trend ?micro|\btmase|symantec|messagelabs|safe-?links|forcepoint"
    r"|websense|forti(?:net|guard|mail)|sophos|zscaler|blue ?coat|mcafee|trellix|fireeye|ironport|check ?point"
    r"|virustotal|urlscan|phish|avast|kaspersky|bitdefender|\beset\b|cloudmark|spamassassin|mailscanner|hornetsecurity"
    r"|vade ?secure|abnormal ?security|censys|openvas|nessus|qualys|nuclei|zgrab|shodan|expanse|palo ?alto|netcraft"
    r"|safe-?browsing|cyren|spamhaus|surbl|antivirus|web ?reputation|heimdall|url ?scan|link ?scan|mail ?scan|malware"
)
_LIBRARY = re.compile(
    r"^(?:lib)?(?:curl|wget|python|aiohttp|httpx|urllib|go-http|go http|go/|okhttp|java|jakarta|apache|axios|node"
    r"|undici|got[ /]|ky/|superagent|needle|lwp|perl|php|guzzle|ruby|faraday|rest-?client|typhoeus|postman|insomnia"
    r"|http[a-z_-]|reqwest|hyper/|rust|dart|win-?http|wininet|powershell|ktor|unirest|jersey|spring|reactor|netty"
    r"|vert\.x|volley|alamofire|fasthttp|colly|mechanize|feign|retrofit|lua|erlang|hackney|elixir|finch|tesla|dotnet"
    r"|restsharp|req/|bun/|deno|k6/|jmeter|siege|wrk|hey/|locust|artillery|aria2|zend|symfony|pycurl|g?requests|treq"
    r"|pear|snoopy|pip/|npm/|pnpm|yarn/|kube|docker|git/|aws-|boto|google-api|grpc|emacs|url/)"
    r"|libwww-perl|okhttp/|urllib|(?<!dolphin )http[ -]?client|\bsiege/|httpunit|guzzlehttp|winhttp|libcurl/|pycurl"
    r"|wkhtml|cypress|htmlunit|zombie\.js|powershell|cpython|cutycapt|web services client"
    # Mail programs and daemons of Apple, which load without anybody having clicked.
    r"|(?:^|%20)mail/\d|^outlook-(?:ios|express)|macoutlook|polymail|airmail|swcd |networkingextension|reeder/"
)
# What no browser of a person says, in the order: an agent, a proxy, a note in the place of the engine, `compatible`
# where browsers do not put it; a bare name after all that Chrome says, before its platform, or before `Mozilla`;
# instruments that measure pages; what looks into mails; Office, which looks at a link before the browser does.
_MACHINE = re.compile(
    r"(?<!user)(?<!user[-_ ])(?<!masking-)agent\b(?![:=])"
    r"|\(via (?!translate)|\(khtml, like gecko; |like gecko[,;] ?google"
    r"|[;,] ?compatible[;)](?!\s*msie)|(?<!\.\d )(?<!\.\d\d )(?<!\.\d)\(compatible;(?!\s*msie)"
    r"|^mozilla/5\.0 \((?:windows nt|x11|macintosh|linux)[^)]*\) applewebkit/[\d.]+ \(khtml, like gecko\) "
    r"chrome/(?:[7-9]\d|\d{3})\.[\d.]+(?: mobile)? safari/[\d.]+[ ;]{1,2}(?!steamdeck|twitter|flipboard)"
    r"\(?[a-z][a-z0-9_ -]*\)?$"
    r"|^mozilla/5\.0 \((?:x11; )?linux x86_64; [a-z]+\)|^[\w./]+, ?mozilla/"
    r"|^[a-z_]+/[\d.]+ mozilla/5\.0 \((?:win|mac|x11)|gecko\) (?:ylt|splash|hotjar) |like gecko, (?!safari)[a-z]+\)"
    r"|\bptst\b|dareboost|debugbear|datanyze|catchpoint|neustar|dmbrowser|siteimprove|observatory|optimizer|transcod"
    r"|\bprobe\b|\brss|\bfeeds?\b|tester|examiner|sucker|\bseo(?!ul)|adbeat|measurement|\bappinsights|marketgoo"
    r"|convertify|google (?:search|page|keyword|favicon)|yandex\.translate|heimdall|web-?(?:screen|snap)|imgsiz"
    r"|thumbnail|duplexweb|adsense|openvas|page speed|internal dummy|nodemeter|mappercmd|test-?locally|watchtowr"
    r"|statuscake|dejaclick|silktide|iplabel|mutant|prospect|diagnos|webthumb|2png|grader|%20downloader|classif"
    r"|grab(?:ber)?/|measur|hotjar|reputation|ranking|aggregat|simulat|automat|enrich|intelligen|complian|collector"
    r"|indexer|claude-|cloudflare|backlink|crwlr|\bspeng"
    r"|barracuda|mimecast|proofpoint|urldefense|safe-?links|messagelabs"
    r"|^microsoft office(?!.*(?:desktop|tablet|phone|app;)).*(?:windows|mac)|mac os x\) (?:word|excel|powerpoint)/"
    r"|^mozilla/4\.0 \(compatible; ms-office"
)
# A host, except in what anybody who installed something could write into (Internet Explorer), and in apps on phones,
# which are named after their sites.
_HOSTED = re.compile(r"msie|android|iphone|ipad|web\.de/|toolbar")
_HOST = re.compile(r"(?<![\w./@-])[a-z0-9-]{3,60}\.(?:com|io|net|org|co|ai|ru|fr|de|pl|eu|party)\b(?![.\w-])")
# What the thing in a person's hand or living room calls itself. Apps on it count as the person's, HttpURLConnection
# (Dalvik) and CFNetwork included: they name the device, which HTTP libraries elsewhere do not.
_DEVICE = re.compile(
    r"mac_p|darwin|i(?:phone|pad|pod)|\bios\b|\bos ?x\b|mac os/|android|andr0id|andorid|cros\b|amiga|morphos|risc ?os"
    r"|qnx|atari|symbian|osf1|openvms|series ?[346]0|nokia|blackberry|bb10|playbook|rim tablet|webos|hpwos|web0s|tizen"
    r"|bada\b|kaios|harmony|meego|maemo|sailfish|playstation|nintendo|xbox|\bwii|sega|kindle|silk/|nook|smart-?tv|hbbtv"
    r"|hybridcast|netcast|viera|aquos|bravia|roku|crkey|apple ?tv|watch ?os|vizio|brightsign|youview|midp|cldc|j2me"
    r"|brew\b|up\.browser|up\.link|obigo|teleca|netfront|openwave|polaris|maui|docomo|foma|kddi|softbank|vodafone"
    r"|j-phone|willcom|ddipocket|pdxgw|samsung|ericsson|motorola|\bmot-|\blge?[-/ _]|^lg[a-z]{1,3}\d|\bsie-|sagem|palm"
    r"|blazer|avantgo|ucweb|ucbrowser|opera mini|opera mobi|lumia|mqqbrowser|micromax|lenovo|huawei|\bzte\b|\bhtc"
    r"|philips|alcatel|karbonn|panasonic|\bsharp\b|\bfbav/|wap(?:[12]\.\d)?\b|aplix|screen-\d+x|windows ce"
    r"|windows phone|\((?:mobile|tablet|tv); |^(?:amoi|bird|haier|asus|archos|kyocera|kwc|pantech|sony|lg ?\d)"
    r"|mobile safari|duckduckgo/\d|amazon;|\(0{5,}; "
)
_DESKTOP = re.compile(
    r"windows|win(?:9[58x]|32|64|nt|16|7\b|10)|mac ?os|macintosh|linux|x11|bsd\b|sunos|solaris|irix|hp-ux|\baix\b|os/2"
    r"|beos|haiku|unix|cygwin|inferno|\bwow64\b"
)
_ENGINE = re.compile(
    r"msie|trident|konqueror|opera|presto|galeon|netpositive|webpositive|antfresco|acorn|oregano|infinet|maple"
    r"|lotus-notes|applewebkit|gecko/"
)
# Browsers of people that do not begin with `Mozilla`.
_OTHERS = re.compile(
    r"opera|lynx|links\b|elinks|w3m|dillo|netsurf|ibrowse|konqueror|firefox|(?:vms_|ncsa_)?mosaic|icab|omniweb|safari"
    r"|hotjava|voyager|microsoft office [a-z]+/|gog|msie|internet explorer|chrome/|chromium|iceweasel|gnu icecat"
    r"|netscape|lunascape|sleipnir|avant|cyberdog|ice browser|windows-media-player|nsplayer|winamp|quicktime|itunes"
    r"|media player|ossproxy"
)
# Firefox whose platform a person has hidden.
_MASKED = re.compile(r"mozilla/5\.0 \([^()]*\brv:[\d.]+\) gecko/[\d.]+ firefox/[\d.]+(?: palemoon/[\d.]+)?$")


def kind_of(user_agent: bytes) -> Kind:
    """The kind of an agent. Total; whoever calls bounds the length, since the time grows with it."""
    text = user_agent.decode("latin-1").lower().replace("+", " ").strip(" \t\"'")
    if not text:
        return "unknown"
    if is_declared_crawler(user_agent) or _MACHINE.search(text) or _names_a_host(text):
        if _SCANNER.search(text):
            return "scanner"
        return "preview" if _PREVIEW.search(text) else "crawler"
    if _LIBRARY.search(text):
        return "library"
    if _is_of_a_person(text):
        return "browser"
    if _SCANNER.search(text):
        return "scanner"
    if text.startswith("mozilla"):
        return "crawler"
    return "library" if "/" in text else "unknown"


def _names_a_host(text: str) -> bool:
    return _HOSTED.search(text) is None and _HOST.search(text) is not None


def _is_of_a_person(text: str) -> bool:
    if _DEVICE.search(text) or _MASKED.match(text):
        return True
    if text.startswith("mozilla"):
        engine = _ENGINE.search(text) is not None
        # `(compatible; …)` is the form of Internet Explorer, its rivals of the time, and crawlers.
        return (engine and "compatible" in text) or (_DESKTOP.search(text) is not None and "(compatible" not in text)
    return _OTHERS.match(text) is not None or (_ENGINE.search(text) is not None and _DESKTOP.search(text) is not None)
