"""A tool, and a question for it."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED = {"text": "What is the weather in Paris?", "temperature": 0, "max_tokens": 60}
