"""The usual public logs, in the layout of their own files: generated miniatures, read by the command line.

All of them hold the same events. The rows are never in the order of their times, so that a reader that overlooks the
times gives other sequences than the ones expected.
"""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lightrec.cli.app import app
from lightrec.data.dataset import Dataset

EVENTS = [(0, 2, 5), (0, 0, 1), (0, 1, 3), (1, 3, 2), (1, 2, 9), (1, 0, 4), (2, 1, 8), (2, 3, 6), (2, 0, 7)]
"""User, item and time, in the order of the file."""
SEQUENCES = {0: [0, 1, 2], 1: [3, 0, 2], 2: [3, 0, 1]}
"""The items of each user by time."""
START = datetime.datetime(2015, 3, 7, 10, tzinfo=datetime.UTC)
TITLES = ["Toy Story (1995)", "Amélie", "[REC] & Co.", "Seven, again"]


def at(hours: int) -> datetime.datetime:
    return START + datetime.timedelta(hours=hours)


def on(days: int) -> datetime.date:
    return (START + datetime.timedelta(days=days)).date()


def seconds(hours: int) -> int:
    return int(at(hours).timestamp())


def lines(row: Callable[[int, int, int], str], header: str | None = None, events=EVENTS) -> str:
    """One line for each event, below a header."""
    return "".join(f"{line}\n" for line in ([] if header is None else [header]) + [row(*event) for event in events])


@dataclasses.dataclass(frozen=True)
class PublicLog:
    """The files of a public log and how they are prepared."""

    name: str
    files: dict[str, str | bytes]
    command: str
    """The words after ``data prepare``."""
    user: Callable[[int], str] = str
    item: Callable[[int], str] = str
    titles: list[str | None] | None = None
    """What the items are called; None where the log has no titles."""


def json_lines(objects) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def python_lines(objects) -> str:
    """One Python dictionary a line, as some older logs are published."""
    return "".join(f"{one!r}\n" for one in objects)


def public_logs() -> Iterator[PublicLog]:
    yield from movielens()
    yield from amazon()
    yield from shops()
    yield from media()
    yield from research()
    yield from watched_and_heard()
    yield from visited_and_bought()


def movielens() -> Iterator[PublicLog]:
    item = lambda i: str(1190 + i)  # noqa: E731
    ratings = lines(lambda u, i, t: f"{u + 1}::{item(i)}::{1 + t % 5}::{seconds(t)}")
    movies = "".join(f"{item(i)}::{title}::Animation|Children's|Comedy\n" for i, title in enumerate(TITLES))
    yield PublicLog(
        "MovieLens 1M",
        {"ratings.dat": ratings, "movies.dat": movies.encode("latin-1")},
        "ratings.dat --columns user,item,rating,time --items movies.dat --items-columns item,title,genres",
        user=lambda u: str(u + 1),
        item=item,
        titles=TITLES,
    )
    data = lines(lambda u, i, t: f"{u + 1}\t{item(i)}\t{1 + t % 5}\t{seconds(t)}")
    genres = "|".join("0" * 19)
    films = "".join(f"{item(i)}|{title}|01-Jan-1995||http://us.imdb.com/x|{genres}\n" for i, title in enumerate(TITLES))
    flags = ",".join(f"g{number}" for number in range(19))
    yield PublicLog(
        "MovieLens 100K",
        {"u.data": data, "u.item": films.encode("latin-1")},
        f"u.data --columns user,item,rating,time --items u.item --items-columns item,title,date,video,url,{flags} "
        "--text-column title",
        user=lambda u: str(u + 1),
        item=item,
        titles=TITLES,
    )
    table = lines(
        lambda u, i, t: f"{u + 1},{item(i)},{1 + t % 5}.0,{seconds(t)}", header="userId,movieId,rating,timestamp"
    )
    quoted = "movieId,title,genres\n" + "".join(
        f'{item(i)},"{title}",Adventure|Animation\n' for i, title in enumerate(TITLES)
    )
    yield PublicLog(
        "MovieLens 25M",
        {"ratings.csv": table.replace("\n", "\r\n"), "movies.csv": quoted},
        "ratings.csv --items movies.csv",
        user=lambda u: str(u + 1),
        item=item,
        titles=TITLES,
    )


def amazon() -> Iterator[PublicLog]:
    user, item = (lambda u: f"A39HTATAQ9V7{u}"), (lambda i: f"020561646{i}")
    yield PublicLog(
        "Amazon 2014, ratings",
        {"ratings_Beauty.csv": lines(lambda u, i, t: f"{user(u)},{item(i)},5.0,{seconds(t)}")},
        "ratings_Beauty.csv --columns user,item,rating,time",
        user=user,
        item=item,
    )
    reviews = (
        {
            "reviewerID": user(u),
            "asin": item(i),
            "reviewerName": None if u else "Ann",
            "helpful": [0, t],
            "reviewText": "So\nso, \u201cfine\u201d.",
            "overall": 5.0,
            "summary": "ok",
            "unixReviewTime": seconds(24 * t),
            "reviewTime": f"{on(t):%m %d, %Y}",
        }
        for u, i, t in EVENTS
    )
    meta = python_lines(
        {"asin": item(i), "title": title, "salesRank": {"Beauty": i}, "categories": [["Beauty", "Skin Care"]]}
        for i, title in enumerate(TITLES)
    )
    yield PublicLog(
        "Amazon 2014, reviews",
        {
            "reviews_Beauty_5.json.gz": gzip.compress(json_lines(reviews).encode()),
            "meta_Beauty.json.gz": gzip.compress(meta.encode()),
        },
        "reviews_Beauty_5.json.gz --items meta_Beauty.json.gz",
        user=user,
        item=item,
        titles=TITLES,
    )
    yield PublicLog(
        "Amazon 2018, ratings: the item comes first",
        {"Video_Games.csv": lines(lambda u, i, t: f"{item(i)},{user(u)},3.0,{seconds(t)}")},
        "Video_Games.csv --columns item,user,rating,time",
        user=user,
        item=item,
    )
    newer = (
        {
            "overall": 5.0,
            "vote": "2",
            "verified": True,
            "reviewTime": f"{on(t):%m} {on(t).day}, {on(t):%Y}",
            "reviewerID": user(u),
            "asin": item(i),
            "style": {"Format:": " Hardcover"} if u else None,
            "reviewerName": "Bob",
            "unixReviewTime": seconds(24 * t),
        }
        for u, i, t in EVENTS
    )
    escaped = [title.replace("&", "&amp;") for title in TITLES]
    catalogue = (
        {"category": ["Video Games", "PC"], "title": title, "brand": "Nintendo", "also_buy": [], "asin": item(i)}
        for i, title in enumerate(escaped)
    )
    yield PublicLog(
        "Amazon 2018, reviews",
        {"Video_Games.json": json_lines(newer), "meta_Video_Games.json": json_lines(catalogue)},
        "Video_Games.json --items meta_Video_Games.json",
        user=user,
        item=item,
        titles=TITLES,
    )
    latest = (
        {
            "rating": 4.0,
            "title": "A review's title",
            "text": "Fine.",
            "images": [],
            "asin": f"variant {u}",
            "parent_asin": item(i),
            "user_id": user(u),
            "timestamp": 1000 * seconds(t) + 17,
            "helpful_vote": 0,
            "verified_purchase": True,
        }
        for u, i, t in EVENTS
    )
    products = (
        {
            "main_category": "Video Games",
            "title": title,
            "average_rating": 4.5,
            "features": ["a", "b"],
            "description": [],
            "price": None,
            "images": [{"thumb": "x"}],
            "details": {"Size": 1},
            "parent_asin": item(i),
        }
        for i, title in enumerate(TITLES)
    )
    yield PublicLog(
        "Amazon 2023",
        {"Video_Games.jsonl": json_lines(latest), "meta_Video_Games.jsonl": json_lines(products)},
        "Video_Games.jsonl --items meta_Video_Games.jsonl",
        user=user,
        item=item,
        titles=TITLES,
    )


def shops() -> Iterator[PublicLog]:
    yield PublicLog(
        "RetailRocket",
        {
            "events.csv": lines(
                lambda u, i, t: f"{1000 * seconds(t)},{25700 + u},view,{355900 + i},",
                header="timestamp,visitorid,event,itemid,transactionid",
            )
        },
        "events.csv",
        user=lambda u: str(25700 + u),
        item=lambda i: str(355900 + i),
    )
    yield PublicLog(
        "Diginetica: sessions, a date and milliseconds within the session",
        {
            "train-item-views.csv": lines(
                lambda u, i, t: f"{u + 1};NA;{81766 + i};{526309 * t};2016-05-09",
                header="sessionId;userId;itemId;timeframe;eventdate",
            )
        },
        "train-item-views.csv --user-column sessionId --time-column timeframe --order-only",
        user=lambda u: str(u + 1),
        item=lambda i: str(81766 + i),
    )
    yield PublicLog(
        "YooChoose",
        {"yoochoose-clicks.dat": lines(lambda u, i, t: f"{u + 1},{at(t):%Y-%m-%dT%H:%M:%S}.277Z,{214536500 + i},0")},
        "yoochoose-clicks.dat --columns user,time,item,category",
        user=lambda u: str(u + 1),
        item=lambda i: str(214536500 + i),
    )
    sessions = (
        {
            "session": user,
            "events": [
                {"aid": 1517085 + i, "ts": 1000 * seconds(t) + 25, "type": "clicks"} for u, i, t in EVENTS if u == user
            ],
        }
        for user in range(3)
    )
    yield PublicLog("OTTO", {"otto.jsonl": json_lines(sessions)}, "otto.jsonl", item=lambda i: str(1517085 + i))
    yield PublicLog(
        "REES46",
        {
            "2019-Oct.csv": lines(
                lambda u, i, t: (
                    f"{at(t):%Y-%m-%d %H:%M:%S} UTC,view,{44600062 + i},2103807459595387724,,shiseido,35.79,"
                    f"{541312140 + u},72d76fde-8bb3-4e00-8c23-{u:012}"
                ),
                header="event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session",
            )
        },
        "2019-Oct.csv",
        user=lambda u: str(541312140 + u),
        item=lambda i: str(44600062 + i),
    )
    yield PublicLog(
        "Taobao",
        {"UserBehavior.csv": lines(lambda u, i, t: f"{u + 1},{2268318 + i},2520377,pv,{seconds(t)}")},
        "UserBehavior.csv --columns user,item,category,behavior,time --where behavior=pv",
        user=lambda u: str(u + 1),
        item=lambda i: str(2268318 + i),
    )
    articles = "article_id,product_code,prod_name,product_type_name\n" + "".join(
        f'{663713000 + i:010},{i},"{title}",Vest top\n' for i, title in enumerate(TITLES)
    )
    yield PublicLog(
        "H&M",
        {
            "transactions_train.csv": lines(
                lambda u, i, t: f"{on(t)},{u:064x},{663713000 + i:010},0.0508305084745762,2",
                header="t_dat,customer_id,article_id,price,sales_channel_id",
            ),
            "articles.csv": articles,
        },
        "transactions_train.csv --items articles.csv --text-column prod_name",
        user=lambda u: f"{u:064x}",
        item=lambda i: f"{663713000 + i:010}",
        titles=TITLES,
    )
    yield PublicLog(
        "Instacart, orders and products joined",
        {
            "orders.csv": lines(
                lambda u, i, t: f"{2539329 + 10 * u + t},{u + 1},{t},2,08,,{196 + i},1,0",
                header="order_id,user_id,order_number,order_dow,order_hour_of_day,days_since_prior_order,product_id,"
                "add_to_cart_order,reordered",
            )
        },
        "orders.csv --time-column order_number --order-only",
        user=lambda u: str(u + 1),
        item=lambda i: str(196 + i),
    )
    yield PublicLog(
        "Online Retail, as the spreadsheet exports it",
        {
            "online_retail.csv": lines(
                lambda u, i, t: f'{536365 + t},8512{i}A,"A, b",6,{at(t):%Y-%m-%d %H:%M:%S},2.55,{17850 + u}.0,UK',
                header="InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
            )
        },
        "online_retail.csv",
        user=lambda u: f"{17850 + u}.0",
        item=lambda i: f"8512{i}A",
    )


def media() -> Iterator[PublicLog]:
    steam = python_lines(
        {"username": f"user {u}", "hours": 0.1, "product_id": str(725280 + i), "date": str(on(t)), "text": "a\nb"}
        for u, i, t in EVENTS
    )
    games = python_lines(
        {"publisher": "X", "genres": ["Action", "RPG"], "title": title, "id": str(725280 + i)}
        for i, title in enumerate(TITLES)
    )
    yield PublicLog(
        "Steam",
        {"steam_reviews.json.gz": gzip.compress(steam.encode()), "steam_games.json.gz": gzip.compress(games.encode())},
        "steam_reviews.json.gz --items steam_games.json.gz",
        user=lambda u: f"user {u}",
        item=lambda i: str(725280 + i),
        titles=TITLES,
    )
    artists = "id\tname\turl\tpictureURL\n" + "".join(
        f"{50 + i}\t{t}\thttp://x\thttp://y\n" for i, t in enumerate(TITLES)
    )
    yield PublicLog(
        "Last.fm HetRec, tags",
        {
            "user_taggedartists-timestamps.dat": lines(
                lambda u, i, t: f"{u + 2}\t{50 + i}\t13\t{1000 * seconds(t)}",
                header="userID\tartistID\ttagID\ttimestamp",
            ),
            "artists.dat": artists,
        },
        "user_taggedartists-timestamps.dat --items artists.dat",
        user=lambda u: str(u + 2),
        item=lambda i: str(50 + i),
        titles=TITLES,
    )
    yield PublicLog(
        "Last.fm 1K",
        {
            "userid-timestamp-artid-artname-traid-traname.tsv": lines(
                lambda u, i, t: f'user_{u:06}\t{at(t):%Y-%m-%dT%H:%M:%SZ}\tartist-{i}\tThe "Who"\t\tA song',
                events=sorted(EVENTS, key=lambda event: (event[0], -event[2])),
            )
        },
        "userid-timestamp-artid-artname-traid-traname.tsv --columns user,time,item,name,track,song",
        user=lambda u: f"user_{u:06}",
        item=lambda i: f"artist-{i}",
    )
    reviews = (
        {
            "review_id": f"r{u}{i}",
            "user_id": f"-user{u}",
            "business_id": f"_b{i}",
            "stars": 4.0,
            "useful": 0,
            "text": "Nice,\nreally.",
            "date": f"{at(t):%Y-%m-%d %H:%M:%S}",
        }
        for u, i, t in EVENTS
    )
    places = (
        {
            "business_id": f"_b{i}",
            "name": title,
            "city": "Tucson",
            "categories": "Food, Tea",
            "hours": {"Monday": "0:0"},
        }
        for i, title in enumerate(TITLES)
    )
    yield PublicLog(
        "Yelp",
        {
            "yelp_academic_dataset_review.json": json_lines(reviews),
            "yelp_academic_dataset_business.json": json_lines(places),
        },
        "yelp_academic_dataset_review.json --items yelp_academic_dataset_business.json",
        user=lambda u: f"-user{u}",
        item=lambda i: f"_b{i}",
        titles=TITLES,
    )
    yield PublicLog(
        "Gowalla",
        {
            "loc-gowalla_totalCheckins.txt.gz": gzip.compress(
                lines(
                    lambda u, i, t: f"{u}\t{at(t):%Y-%m-%dT%H:%M:%SZ}\t30.2359091167\t-97.7951395833\t{22847 + i}",
                    events=sorted(EVENTS, key=lambda event: (event[0], -event[2])),
                ).encode()
            )
        },
        "loc-gowalla_totalCheckins.txt.gz --columns user,time,latitude,longitude,item",
        item=lambda i: str(22847 + i),
    )


def research() -> Iterator[PublicLog]:
    item_file = "item_id:token\tmovie_title:token_seq\tclass:token_seq\n" + "".join(
        f"{i}\t{title}\tComedy Drama\n" for i, title in enumerate(TITLES)
    )
    yield PublicLog(
        "RecBole, atomic files",
        {
            "ml.inter": lines(
                lambda u, i, t: f"{u}\t{i}\t4\t{seconds(t)}",
                header="user_id:token\titem_id:token\trating:float\ttimestamp:float",
            ),
            "ml.item": item_file,
        },
        "ml.inter --items ml.item",
        titles=TITLES,
    )
    yield PublicLog(
        "SASRec, pairs in the order of the rows",
        {"Beauty.txt": "".join(f"{u + 1} {i + 1}\n" for u, items in SEQUENCES.items() for i in items)},
        "Beauty.txt --columns user,item",
        user=lambda u: str(u + 1),
        item=lambda i: str(i + 1),
    )
    yield PublicLog(
        "One user a line, the items after it",
        {"sequences.txt": "".join(f"{u} {' '.join(map(str, items))}\n" for u, items in SEQUENCES.items())},
        "sequences.txt --format sequences",
    )
    yield PublicLog(
        "JSON lines, one user a line",
        {"users.jsonl": json_lines({"user": f"u{u}", "items": [f"i{i}" for i in s]} for u, s in SEQUENCES.items())},
        "users.jsonl --user-column user --item-column items",
        user=lambda u: f"u{u}",
        item=lambda i: f"i{i}",
    )
    yield PublicLog(
        "A JSON array",
        {
            "log.json": json.dumps(
                [{"user_id": u, "item_id": i, "timestamp": seconds(t)} for u, i, t in EVENTS], indent=1
            )
        },
        "log.json",
    )


def watched_and_heard() -> Iterator[PublicLog]:
    yield PublicLog(
        "KuaiRand: a day, a time of day in digits, and milliseconds",
        {
            "log_standard.csv": lines(
                lambda u, i, t: f"{u},{i},{at(t):%Y%m%d},{at(t):%H%M},{seconds(t)}000,1,0,{900 * t}",
                header="user_id,video_id,date,hourmin,time_ms,is_click,is_like,play_time_ms",
            )
        },
        "log_standard.csv",
    )
    yield PublicLog(
        "KuaiRec",
        {
            "big_matrix.csv": lines(
                lambda u, i, t: f"{u},{i},5838,10867,{at(t):%Y-%m-%d %H:%M:%S}.128,{at(t):%Y%m%d},{seconds(t)}.128,0.5",
                header="user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio",
            )
        },
        "big_matrix.csv",
    )
    playlists = [
        {
            "name": "Throwbacks",
            "pid": u,
            "modified_at": 1493424000,
            "tracks": [
                {
                    "pos": pos,
                    "track_uri": f"spotify:track:{i}",
                    "artist_uri": "spotify:artist:0",
                    "track_name": TITLES[i],
                }
                for pos, i in enumerate(items)
            ],
        }
        for u, items in SEQUENCES.items()
    ]
    yield PublicLog(
        "Spotify Million Playlist",
        {"mpd.slice.0-999.json": json.dumps({"info": {"slice": "0-999"}, "playlists": playlists}, indent=4)},
        "mpd.slice.0-999.json --user-column pid --item-column track_uri --order-only",
        item=lambda i: f"spotify:track:{i}",
    )
    plays = [
        {
            "ts": f"{at(t):%Y-%m-%dT%H:%M:%SZ}",
            "username": f"u{u}",
            "ms_played": 9,
            "spotify_track_uri": f"spotify:track:{i}",
        }
        for u, i, t in EVENTS
    ]
    yield PublicLog(
        "Spotify, extended streaming history",
        {"Streaming_History_Audio.json": json.dumps(plays, indent=2)},
        "Streaming_History_Audio.json --item-column spotify_track_uri",
        user=lambda u: f"u{u}",
        item=lambda i: f"spotify:track:{i}",
    )
    yield PublicLog(
        "LFM-2b",
        {
            "listening_events.tsv": lines(
                lambda u, i, t: f"{u}\t{i}\t77\t{at(t):%Y-%m-%d %H:%M:%S}",
                header="user_id\ttrack_id\talbum_id\ttimestamp",
            )
        },
        "listening_events.tsv --item-column track_id",
    )
    yield PublicLog(
        "MovieTweetings",
        {"ratings.dat": lines(lambda u, i, t: f"{u + 1}::011161{i}::8::{seconds(t)}")},
        "ratings.dat --columns user,item,rating,time",
        user=lambda u: str(u + 1),
        item=lambda i: f"011161{i}",
    )
    yield PublicLog(
        "Twitch",
        {"100k_a.csv": lines(lambda u, i, t: f"{u + 1},3384747{t},streamer{i},{t},{t + 2}")},
        "100k_a.csv --columns user,stream,item,time,stop",
        user=lambda u: str(u + 1),
        item=lambda i: f"streamer{i}",
    )


def visited_and_bought() -> Iterator[PublicLog]:
    yield PublicLog(
        "Foursquare, New York and Tokyo",
        {
            "dataset_TSMC2014_NYC.txt": lines(
                lambda u, i, t: (
                    f"{u}\t49bbd6c0f96{i}\t4bf58\tCafé\t40.7\t-74.0\t-240\t{at(t):%a %b %d %H:%M:%S +0000 %Y}"
                )
            ).encode("latin-1")
        },
        "dataset_TSMC2014_NYC.txt --columns user,item,category,name,latitude,longitude,offset,time",
        item=lambda i: f"49bbd6c0f96{i}",
    )
    yield PublicLog(
        "Globo.com, clicks",
        {
            "clicks_hour_000.csv": lines(
                lambda u, i, t: f"{u},150682812500{t},{seconds(0)}000,2,{157500 + i},{seconds(t)}000,4",
                header="user_id,session_id,session_start,session_size,click_article_id,click_timestamp,click_environment",
            )
        },
        "clicks_hour_000.csv --item-column click_article_id",
        item=lambda i: str(157500 + i),
    )
    yield PublicLog(
        "Adressa",
        {
            "one_week.jsonl": json_lines(
                {"eventId": t, "time": seconds(t), "userId": f"cx:{u}", "id": f"{i}f9a", "activeTime": 3}
                for u, i, t in EVENTS
            )
        },
        "one_week.jsonl --item-column id",
        user=lambda u: f"cx:{u}",
        item=lambda i: f"{i}f9a",
    )
    yield PublicLog(
        "GitHub Archive",
        {
            "2015-01-01-15.json.gz": gzip.compress(
                json_lines(
                    {
                        "id": str(t),
                        "type": "WatchEvent",
                        "actor": {"id": u, "login": f"login{u}"},
                        "repo": {"id": 70 + i, "name": f"owner/repo{i}"},
                        "created_at": f"{at(t):%Y-%m-%dT%H:%M:%SZ}",
                    }
                    for u, i, t in EVENTS
                ).encode()
            )
        },
        "2015-01-01-15.json.gz --user-column actor.login --item-column repo.name",
        user=lambda u: f"login{u}",
        item=lambda i: f"owner/repo{i}",
    )
    yield PublicLog(
        "Ta-Feng",
        {
            "ta_feng_all_months_merged.csv": lines(
                lambda u, i, t: f'"{on(t):%m/%d/%Y}","0110490{u}","45-49","115","110411","471016300{i}","24","1","30"',
                header="TRANSACTION_DT,CUSTOMER_ID,AGE_GROUP,PIN_CODE,PRODUCT_SUBCLASS,PRODUCT_ID,AMOUNT,ASSET,SALES_PRICE",
            )
        },
        "ta_feng_all_months_merged.csv --time-format %m/%d/%Y",
        user=lambda u: f"0110490{u}",
        item=lambda i: f"471016300{i}",
    )
    yield PublicLog(
        "Dunnhumby, The Complete Journey: days are numbers",
        {
            "transaction_data.csv": lines(
                lambda u, i, t: f"{2375 + u},2698485{t},{t},{1004900 + i},1,1.39,364,-0.6,1631,1,0,0",
                header="household_key,BASKET_ID,DAY,PRODUCT_ID,QUANTITY,SALES_VALUE,STORE_ID,RETAIL_DISC,TRANS_TIME,"
                "WEEK_NO,COUPON_DISC,COUPON_MATCH_DISC",
            )
        },
        "transaction_data.csv --time-column DAY",
        user=lambda u: str(2375 + u),
        item=lambda i: str(1004900 + i),
    )
    yield PublicLog(
        "Google Analytics 4, as BigQuery exports it",
        {
            "events.jsonl": json_lines(
                {
                    "event_date": f"{at(t):%Y%m%d}",
                    "event_timestamp": f"{seconds(t)}000000",
                    "event_name": "view_item",
                    "user_pseudo_id": f"{u}.123",
                    "items": [{"item_id": f"I{i}", "item_name": TITLES[i], "price": 1.5}],
                }
                for u, i, t in EVENTS
            )
        },
        "events.jsonl",
        user=lambda u: f"{u}.123",
        item=lambda i: f"I{i}",
    )


LOGS = list(public_logs())
DOCUMENTED = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_a_public_log_is_read_as_it_is_published(log, tmp_path):
    for name, content in log.files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    words = [str(tmp_path / word) if word in log.files else word for word in log.command.split()]
    result = CliRunner().invoke(
        app, ["data", "prepare", *words, "--k-core", "0", "--out", str(tmp_path / "out")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "out")
    read = {
        user: [dataset.item_ids[item] for item in dataset.sequence(index)]
        for index, user in enumerate(dataset.user_ids)
    }
    assert read == {log.user(user): [log.item(item) for item in items] for user, items in SEQUENCES.items()}
    if log.titles is not None:
        titles = dict(zip(dataset.item_ids, dataset.item_titles, strict=True))
        assert titles == {log.item(item): title for item, title in enumerate(log.titles)}
    else:
        assert dataset.item_titles == [None] * 4


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_the_documents_show_the_command_of_each_public_log(log):
    assert f"| {log.name} | `{log.command}` |" in DOCUMENTED
