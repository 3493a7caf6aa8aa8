"""The same few sentences in several kinds of text, to see what each tokenizer was made for. Written for the lab."""

KINDS: dict[str, str] = {
    "English": (
        "The harbour was quiet when the last boat came in. Nobody had expected it so late, and the lamp at the end of the "
        "pier had already been put out. A child counted the crates while her father tied the rope to an iron ring."
    ),
    "code": (
        "def unload(boat, crates):\n    total = 0\n    for crate in crates:\n        if crate.weight <= boat.limit - total:\n"
        "            total += crate.weight\n            boat.hold.append(crate)\n    return {'total': total, 'left': len(crates)}\n"
    ),
    "numbers": "17.5 204 1,048,576 3.14159265 2026-08-31 12:45:07 0.00042 99.9% 6.022e23 -273.15 192.168.0.1 1/3 1234567890 007",
    "German": (
        "Der Hafen war still, als das letzte Boot einlief. Niemand hatte es so spät erwartet, und die Lampe am Ende des Stegs "
        "war schon gelöscht. Ein Kind zählte die Kisten, während sein Vater das Tau an einem Eisenring festmachte."
    ),
    "Russian": (
        "В гавани было тихо, когда вошла последняя лодка. Никто не ждал её так поздно, и фонарь в конце причала уже погасили. "
        "Девочка считала ящики, пока отец привязывал канат к железному кольцу."
    ),
    "Arabic": (
        "كان الميناء هادئا عندما وصل القارب الأخير. لم يتوقعه أحد في هذا الوقت المتأخر، وكان المصباح في نهاية الرصيف قد أطفئ. "
        "عدت طفلة الصناديق بينما ربط أبوها الحبل بحلقة من حديد."
    ),
    "Hindi": (
        "जब आखिरी नाव आई तब बंदरगाह शांत था। किसी ने इतनी देर से उसकी उम्मीद नहीं की थी, और घाट के छोर का दीपक बुझाया जा चुका था। "
        "एक बच्ची पेटियाँ गिनती रही और उसके पिता ने रस्सी को लोहे के छल्ले से बाँधा।"
    ),
    "Chinese": (
        "最后一条船进港时，港口很安静。没有人想到它会这么晚回来，码头尽头的灯已经熄了。一个孩子数着箱子，"
        "她的父亲把绳子系在铁环上。"
    ),
    "emoji": "⛵️🌙 👨‍👧 📦📦📦 🤔❓ 🔦➡️🌑 👩🏽‍🚀🚀 ❤️‍🔥 🏴‍☠️ 🇯🇵🇧🇷 👍🏿 🧑‍🌾🌾 🎉🎊 😀😅🥲 1️⃣2️⃣3️⃣",
}
