from ser.app.pages import evaluation

evaluation.show()
