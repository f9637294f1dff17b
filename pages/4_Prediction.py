from ser.app.pages import prediction

prediction.show()
