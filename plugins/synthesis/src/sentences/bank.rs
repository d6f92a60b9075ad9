//! The sentences. Ours, in several registers, so that clients meet prose, lists of numbers, code, punctuation and
//! other scripts. Every sentence has a word, so that answers grow.

/// What answers are made of.
pub(crate) const SENTENCES: [&str; 48] = [
    // Plain answers.
    "Yes, that should work as long as the two parts agree on the order of their steps.",
    "Start with the smallest case, check it by hand, and only then let the loop run.",
    "There are three ways to do this, and the second one is usually good enough.",
    "I would wait for the next release before changing anything that customers can see.",
    "The short answer is no; the long answer fills a shelf.",
    "Most of the delay comes from the queue, not from the work itself.",
    "If the first attempt fails, wait a little, try again, and then ask somebody.",
    "Nothing in the report explains why the second pump stopped on Tuesday.",
    "You can leave that field empty, and the server will choose a sensible value.",
    "Both maps are right, but they were drawn a hundred years apart.",
    // Weather, travel, kitchens.
    "It rained all morning, so the market moved under the railway arches.",
    "The night train leaves from platform nine and arrives before the bakeries open.",
    "Add the flour slowly, keep stirring, and stop when the dough lets go of the bowl.",
    "From the lighthouse you can count eleven islands, or twelve when the tide is out.",
    "Fog came up the river and took the bridges one by one.",
    "A good soup forgives almost everything except impatience.",
    "The bus was full of cellos, and nobody could say why.",
    "We walked until the road became a path and the path became a rumour.",
    // Stories.
    "The clockmaker kept one clock wrong, so that she would always have something to repair.",
    "Nobody remembered who had planted the orchard, but everybody knew whose turn it was to water it.",
    "\"Leave the lamp on,\" he said, \"the sea likes to know where we are.\"",
    "She opened the letter, read it twice, and put it back as if it had never been there.",
    "The dog had an opinion about the new piano and expressed it until dawn.",
    "At the bottom of the trunk lay a ticket for a ship that had never been built.",
    "Once a year the library lends its ladders, and the town picks its cherries.",
    // Small talk.
    "Good morning! Did you sleep well?",
    "Thanks, that helps a lot.",
    "Hmm, let me think about that for a moment...",
    "Sorry, could you say that again?",
    "Of course - happy to help!",
    // Facts and figures.
    "Water boils at 100 °C at sea level and at about 93 °C on a 2,000 m pass.",
    "In 1998 the club had 214 members; by 2004 it had 1,377, and a waiting list.",
    "A kilobyte is 1,000 bytes, a kibibyte 1,024, and a misunderstanding about 24.",
    "Roughly 71% of the surface is ocean, 10% is ice, and the rest argues about borders.",
    "The ratio is 3:2, give or take 0.05, for n = 40 samples.",
    // Code and markup.
    "Use `retry(3, || fetch(url))?` and log the last error if it still fails.",
    "for (i = 0; i < n; i++) { total += prices[i] * (1 - discount); }",
    "SELECT name, COUNT(*) FROM visits WHERE day >= '2024-02-29' GROUP BY name;",
    "Run `make test && ./serve --port=8080 | tee out.log` from the project's root.",
    "{\"status\": \"ok\", \"items\": [1, 2, 3], \"next\": null}",
    "1. Open the lid. 2. Press [Reset] for 5 s. 3. Close the lid.",
    "See <https://example.com/a?b=c&d=e#f> or write to help@example.com; don't do both.",
    // Beyond ASCII.
    "Das Café am Straßenende öffnet früh, schließt spät und verkauft die besten Brötchen.",
    "El niño preguntó: «¿Dónde está el mañana?», y nadie supo qué contestarle.",
    "Поезд опаздывает на час, но чай в вагоне ещё горячий.",
    "今天 下雨，我们 在家 看书。",
    "駅 まで 歩いて 五分 です。",
    "Deploy finished 🚀 – all green ✅, see you tomorrow 👋🏽!",
];
