"""What is printed in pictures: words, invented words and numbers. Some are never shown in training."""

from random import Random
from zlib import crc32

_WORDS = """
able acid acorn actor adult after agent air alarm album all amber anchor angel angle ankle apple april apron
arch area arm army arrow art atlas attic audio august aunt auto autumn avenue award baby back bacon badge bag
baker ball bamboo banana band bank bar barn basil basket bat bath battle beach bead bean bear beard beast bed
bee beef bell belt bench berry best bike bin bird bit black blade block blue board boat body bold bolt bone book
boot born boss bottle bowl box boy brain brake branch brass brave bread break brew brick bridge bright brook
broom brown brush bucket bug build bulb bus bush butter button buy cabin cable cactus cafe cage cake call calm
camel camera camp can canal candle candy canoe cap car card care carpet carrot cart case castle cat cave cell
cent chain chair chalk charm chart cheese cherry chess chest chick child chin chip circle city class clay clean
clear cliff clock close cloth cloud clown club coach coal coast coat cobra cocoa code coffee coin cold colour
comb come cook cool copper coral cord core cork corn corner cotton couch count cover cow crab crane cream creek
cross crow crown cube cup curve cycle daily dance dark dash data date dawn day deck deep deer desert desk dial
dice diet dinner dirt dish dive dock dog doll dome door dot dove down dragon draw dream dress drink drive drop
drum dry duck dune dust eagle ear early earth east easy echo edge egg eight elbow empty end energy engine enjoy
enter equal even event every exam exit extra eye fabric face fact fair fall family fan farm fast father fence
fern field fig film final find fine finger fire first fish fit five fix flag flame flat flight flock floor flour
flow flower flute fly foam fog fold food foot forest fork form fort four fox frame free fresh friend frog frost
fruit fuel full fun future gain game garden garlic gas gate gear ghost giant gift ginger girl give glad glass
globe glove glue go goal goat gold golf good goose grain grape grass green grey grid group grow guard guest
guide guitar gym hair half hall ham hammer hand happy harbor hat hawk hay head heart heat heavy hello help herb
hero hill hint hive hobby hold hole home honey hood hook hope horn horse hotel hour house hat hut ice icon idea
inch ink iron island ivory ivy jacket jam jar jazz jeans jelly jet jewel job join joke joy judge juice july jump
june jungle just kettle key kick kind king kit kite kiwi knee knife knot label lace ladder lady lake lamb lamp
land lane large laser last late laugh lava law lawn lazy leaf learn left leg lemon lens letter level light lily
lime line lion lip list little live loaf lock log long loop lot love low luck lunch lung magic mail main maple
map march mark market mask mat match meadow meal meat medal melon menu metal metre milk mill mind mint minute
mirror mix model money monkey month moon moss motor mouse mouth move movie mud mug music nail name navy near
neck needle nest net never new news next nice night nine noise noon north nose note nurse nut oak oat ocean
office oil old olive on onion open orange orbit orchid order otter oven owl oxygen page paint pair palace palm
pan panda paper park part party pasta path paw peace peach pear pearl pen pencil pepper phone photo piano pie
pig pilot pin pine pink pipe pizza place plane plant plate play plum pocket poem point polar pond pony pool port
post pot potato press price prince print prize pulse pump puppy purple push quart queen quick quiet quilt quiz
rabbit race radar radio rail rain ranch real record red reed rent rest rice rich ride right ring ripe river road
robin robot rock roof room root rope rose round row royal ruby rug rule run safe sage sail salad salmon salt
same sand sauce save saw scale scarf school score sea seal search seat second see seed send seven shade shadow
shape shark sharp sheep shelf shell ship shirt shoe shop short show silk silver sing sink sister six size skate
skin sky sled sleep slice slide slow small smart smile smoke snack snail snake snow soap sock soda sofa soft
soil solar solid song soon soup south space spark speed spice spider spin spoon sport spot spring square squid
stage stamp star start state steam steel stem step stick stone stop store storm story stove street string strong
studio sugar suit summer sun sunny super surf swan sweet swim switch table tail take talk tall tank tap tape
task taste taxi tea teach team temple ten tennis tent test text thank then thick thin think three throne thumb
ticket tide tie tiger tile time tin tiny tip tire toast today toe tomato tone tool tooth top torch total touch
towel tower town toy track trade trail train trap travel tray tree trip truck true trust tube tulip tuna tunnel
turn turtle two type ultra uncle under unit up urban use valley value van vase vast velvet verb video view villa
vine violet violin visit voice vote wagon walk wall walnut want warm wash watch water wave wax way web week well
west whale wheat wheel when white who whole wide wild win wind window wine wing winter wire wise wish wolf
wonder wood wool word work world worm yard year yellow yes yoga young zebra zero zone zoo
"""
WORDS = tuple(sorted({word.upper() for word in _WORDS.split() if 3 <= len(word) <= 6}))

_CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"
_VOWELS = "AEIOU"
_EVERY_NTH_HELD_OUT = 8


def held_out(word: str) -> bool:
    """Say whether a word is kept for measuring."""
    return crc32(word.upper().encode()) % _EVERY_NTH_HELD_OUT == 0


def word(rng: Random, *, unseen: bool, longest: int = 6) -> str:
    """Draw a word in capitals: two in five real, the rest invented, so that only reading tells it."""
    while True:
        kind = rng.random()
        if kind < 0.4:
            drawn = rng.choice(WORDS)
        elif kind < 0.75 or unseen:
            drawn = _pronounceable(rng, rng.randint(3, longest))
        else:
            drawn = "".join(rng.choice(_CONSONANTS + _VOWELS) for _ in range(rng.randint(2, longest)))
        if held_out(drawn) == unseen and len(drawn) <= longest:
            return drawn


def number(rng: Random) -> str:
    """Draw a number: mostly one digit, else two or three."""
    digits = rng.choices((1, 2, 3), (0.6, 0.3, 0.1))[0]
    return str(rng.randint(0, 9) if digits == 1 else rng.randint(10 ** (digits - 1), 10**digits - 1))


def _pronounceable(rng: Random, length: int) -> str:
    first = rng.random() < 0.7
    return "".join(rng.choice(_CONSONANTS if (n % 2 == 0) == first else _VOWELS) for n in range(length))
