from ser.app.pages import your_voice

your_voice.show()
