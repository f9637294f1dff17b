from ser.app.pages import training

training.show()
