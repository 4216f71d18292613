"""The names that public and private logs give to their columns.

Names are compared without case, spaces, hyphens and underscores: ``user_id``, ``userId`` and ``User ID`` are one name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

USERS = (
    *("userid", "user", "uid", "useruuid", "usernumber", "userno", "username", "userhash", "iduser"),
    *("customerid", "customer", "customernumber", "customerno", "custid", "clientid", "client", "memberid", "member"),
    *("visitorid", "visitor", "fullvisitorid", "accountid", "personid", "playerid", "buyerid", "shopperid"),
    *("reviewerid", "reviewer", "raterid", "readerid", "listenerid", "viewerid", "subscriberid", "cookieid"),
    *("userpseudoid", "domainuserid", "idvisitor", "householdkey", "householdid", "anonymousid", "deviceid"),
    *("profileid", "steamid", "msno", "distinctid"),
)
"""Names of users, most telling first."""

SESSIONS = ("sessionid", "session", "usersession", "sessionkey", "visitid", "playlistid")
"""Names of sessions, which serve as users where no column names users."""

BASKETS = ("orderid", "basketid", "cartid", "invoiceno", "invoice", "invoicenumber", "invoiceid", "transactionid")
"""Names of baskets: proposed as users in messages, never chosen."""

ITEMS = (
    *("itemid", "item", "iid", "itemuuid", "itemnumber", "itemno", "iditem"),
    *("parentasin", "asin", "productid", "productcode", "product", "prodid", "productsku", "stockcode", "sku"),
    *("skuid", "articleid", "goodsid", "aid", "movieid", "movie", "filmid", "showid", "videoid", "bookid", "isbn"),
    *("isbn13", "newsid", "trackid", "songid", "musicbrainztrackid", "trackuri", "artistid", "musicbrainzartistid"),
    *("albumid", "gameid", "appid", "businessid", "placeid", "venueid", "poiid", "locationid", "hotelid", "cityid"),
    *("restaurantid", "recipeid", "courseid", "jobid", "postid", "contentid", "documentid", "docid", "adid"),
    *("offerid", "listingid", "animeid", "beerid", "podcastid", "episodeid", "materialid"),
    *("track", "song", "artist", "book", "game", "video", "article"),
)
"""Names of items, most telling first."""

BARE_ITEMS = ("item", "product", "movie", "track", "song", "artist", "book", "game", "video", "article")
"""Of these, the names that are titles in an items file with a column of ids."""

SAME_THING = {
    **dict.fromkeys(("itemid", "item", "iid", "itemuuid", "itemnumber", "itemno", "iditem"), "item"),
    **dict.fromkeys(("parentasin", "asin", "productid", "product", "prodid"), "product"),
    **dict.fromkeys(("movieid", "movie", "filmid"), "film"),
    **dict.fromkeys(("bookid", "isbn", "isbn13", "book"), "book"),
    **dict.fromkeys(("trackid", "songid", "musicbrainztrackid", "trackuri", "track", "song"), "track"),
    **dict.fromkeys(("artistid", "musicbrainzartistid", "artist"), "artist"),
    **dict.fromkeys(("gameid", "game"), "game"),
    **dict.fromkeys(("videoid", "video"), "video"),
    **dict.fromkeys(("articleid", "article"), "article"),
    **dict.fromkeys(("sku", "skuid", "productsku"), "sku"),
}
"""Names of items by what they mean; among names with one meaning, the first column is chosen."""

TIMES = (
    *("timestamp", "unixreviewtime", "eventtime", "eventtimestamp", "time", "ts", "unixtime", "unixtimestamp"),
    *("timestampms", "epoch", "datetime", "createdat", "eventdate", "date", "reviewtime"),
)
"""Names of times, most telling first."""

TIME_WORDS = {
    *("time", "times", "timestamp", "timestamps", "date", "datetime", "dat", "dt", "ts", "at", "when", "epoch", "unix"),
    *("day", "month", "year", "hour", "week", "millis", "datum", "fecha", "clock", "timeframe"),
}
"""Words that make a name look like a time: InvoiceDate, t_dat, purchased_at."""

OTHER_TIME_WORDS = {
    *("birth", "birthday", "birthdate", "born", "dob", "age", "release", "released", "signup", "signed", "registered"),
    *("registration", "joined", "join", "updated", "modified", "expires", "expiry", "expired", "end", "due", "ship"),
    *("shipped", "delivery", "delivered", "spent", "duration", "dwell", "listen", "zone", "timezone", "delta", "since"),
    *("playtime", "watch", "elapsed", "avg", "average", "total", "count", "n", "num", "times", "runtime", "reading"),
}
"""Words of names for a time other than the event's, or for a duration."""

OTHER_TIME_PARTS = (
    *("birth", "release", "signup", "regist", "updated", "lastupdate", "updatetime", "updatedate", "modified", "expir"),
    *("shipdate", "shipp", "deliver", "duration", "timespent", "playtime", "watchtime", "dwell", "elapsed", "timezone"),
    *("lifetime", "runtime", "candidate", "validate"),
)
"""Parts with the same meaning in names written as one word, such as releasedate."""

ITEM_WORDS = {
    *("item", "product", "track", "movie", "film", "book", "game", "video", "article", "sku", "asin", "song", "ad"),
    *("episode", "podcast", "venue", "place", "poi", "hotel", "recipe", "course", "news", "question", "feed", "photo"),
    *("post", "job", "restaurant", "repo", "artist", "album", "hero", "url", "page", "content", "mbid"),
}
USER_WORDS = {
    *("user", "customer", "client", "member", "visitor", "account", "person", "email", "player", "buyer"),
    *("listener", "viewer", "reader", "reviewer", "shopper", "subscriber", "actor", "login", "uuid"),
}
"""Words of columns that are proposed where none is recognised."""

FOREIGN_USERS = (
    *("kunde", "benutzer", "nutzer", "utilisateur", "acheteur", "usuario", "usuário", "cliente", "utente", "klant"),
    *("gebruiker", "klient", "użytkownik", "kullanıcı", "müşteri", "kund", "bruker", "пользовател", "клиент"),
    *("покупател", "用户", "客户", "会员", "会員", "顧客", "ユーザ", "사용자", "고객"),
)
FOREIGN_ITEMS = (
    *("artikel", "produkt", "produit", "producto", "artículo", "articulo", "prodotto", "produto", "ürün", "товар"),
    *("продукт", "商品", "产品", "物品", "製品", "상품", "제품"),
)
"""Parts of names in other languages, proposed in the same way."""

ORDER_NAMES = (
    *("ordernumber", "addtocartorder", "position", "pos", "rank", "step", "seq", "sequence", "sequenceid", "seqno"),
    *("index", "idx", "eventindex", "rownumber", "rowid", "eventnumber", "order", "turn"),
)
"""Names of what may be the order of a user's events."""

CLOCKS = {"timeframe": 0.001, "hour": 3600.0, "hourofday": 3600.0, "orderhourofday": 3600.0}
"""Names of numbers that give the time of day of a date in another column, and the seconds per unit."""

TITLES = (
    *("title", "itemtitle", "movietitle", "producttitle", "booktitle", "gametitle", "videotitle", "newstitle"),
    *("name", "itemname", "productname", "prodname", "productdisplayname", "appname", "gamename", "businessname"),
    *("songname", "trackname", "artistname", "moviename", "bookname", "tracktitle", "songtitle", "headline"),
    *("description", "label", "product", "song", "track", "artist", "movie", "book", "game"),
)
"""Names of titles, most telling first."""

FURTHER_TEXT = (
    *("year", "releaseyear", "yearofpublication", "genres", "genre", "class", "maincategory", "categories"),
    *("category", "categoryname", "brand", "author", "authors", "bookauthor", "artist", "artistname", "developer"),
    *("publisher", "producttypename", "productgroupname", "colourgroupname"),
)
"""Columns that join the title in an item's text when no text column is named, in this order."""

LISTS = ("list", "seq", "sequence", "history", "s")
"""Endings of names of columns that hold lists."""

KINDS = (
    *("event", "eventtype", "eventname", "type", "behavior", "behaviour", "behaviortype", "action", "actiontype"),
    *("interaction", "interactiontype", "feedback", "activity", "activitytype", "kind"),
)
"""Names of what kind of event a row is: a view, a purchase, ..."""

RATINGS = ("rating", "ratings", "stars", "overall", "score", "bookrating", "weight", "playcount", "plays")
"""Names of how much a user liked an item."""

USUAL = frozenset((*USERS, *SESSIONS, *BASKETS, *ITEMS, *TIMES, *TITLES, *FURTHER_TEXT, *KINDS, *RATINGS, *CLOCKS))
"""Every name that identifies the content of a column."""


def plain(name: str) -> str:
    """Return a column's name without case, spaces and punctuation."""
    return re.sub(r"[\W_]", "", name.casefold())


def words(name: str) -> list[str]:
    """Return the words of a column's name: ``InvoiceDate`` and ``invoice_date`` are "invoice" and "date"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[^\W\d_]+", spaced.casefold())


def is_other_time(name: str) -> bool:
    """Return whether a name means a time other than the event's, or a duration: updated_at, playtime."""
    return bool(OTHER_TIME_WORDS & set(words(name))) or any(part in plain(name) for part in OTHER_TIME_PARTS)


def base(name: str, usual: Collection[str]) -> str:
    """Return the plain name, of one element for a column of lists: ``Items`` and ``item_list`` are ``item``."""
    whole = plain(name)
    if whole in usual:
        return whole
    return next((short for end in LISTS if (short := whole.removesuffix(end)) != whole and short in usual), whole)


def named(usual: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return those of ``columns`` that have one of the ``usual`` names, most specific first."""
    places = {name: place for place, name in enumerate(usual)}
    found = {column: base(column, places) for column in columns}
    return sorted((column for column in columns if found[column] in places), key=lambda column: places[found[column]])


def listed(columns: Sequence[str], most: int = 30, longest: int = 40) -> str:
    """Format names or values for a message: only the first of many, long ones cut, control characters escaped."""
    shown = [text if len(text) <= longest else f"{text[:longest]}..." for text in columns[:most]]
    shown = [text if text.isprintable() else repr(text)[1:-1] for text in shown]
    return ", ".join(shown) + (f", ... ({len(columns):,} in all)" if len(columns) > most else "")
